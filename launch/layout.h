// How the ranks of a run share its work: the mesh, ZeRO's stage, the pipeline's schedule and its microbatches, resolved
// from options, model and the number of ranks. Each error has both numbers and the nearest choice that works.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>

#include "launch/options.h"
#include "model/config.h"
#include "model/execution.h"
#include "parallel/mesh.h"
#include "parallel/schedule.h"

namespace trireme::launch {

struct Layout {
  parallel::Mesh mesh;
  int zero_stage = 0;  ///< 0 where there is no data parallelism
  parallel::ScheduleKind schedule = parallel::ScheduleKind::one_f_one_b;
  int virtual_stages = 1;
  int lanes = 0;                ///< of --reproducible; 0: none
  int64_t microbatch_size = 0;  ///< B, sequences; 1 with lanes
  int64_t microbatches = 0;     ///< of a step, for each rank of dp
  bool operator==(const Layout&) const = default;
};

/// The layout of `ranks` ranks; T is the sequence length. Without --microbatch-size: all sequences of a rank of dp
/// where there is no pipeline, else the largest microbatch of which there are 4 a stage at least, or as many as can be.
/// With --reproducible one sequence, whatever --microbatch-size says: products of other shapes have other bits.
/// Throws Error(usage).
Layout resolve_layout(const TrainOptions& options, const model::ModelConfig& model, int64_t T, int ranks);

/// How a model is computed in it, by --precision and --recompute; stages are cut for sequences of T tokens.
model::Execution execution_of(const TrainOptions& options, const Layout& layout, runtime::Device device, int64_t T);

/// What people are told: "4 ranks = tp 2 x dp 1 x pp 2, ZeRO 0, 1f1b, 8 microbatches of 1 sequence, 2 + 2 layers,
/// balance 0.987". The layers of each stage, all its chunks together, where there are several.
std::string ranks_text(const Layout& layout, const model::ModelConfig& model, const model::Execution& execution);

/// The `layout` of a manifest: tp, dp, pp, zero_stage, schedule, virtual_stages.
boost::json::object layout_json(const Layout& layout);

/// "tp 2 x dp 1 x pp 4, ZeRO 0, 1f1b" for such an object; what an older program did not record is what it did. The
/// schedule is left out where there is one stage.
std::string layout_text(const boost::json::object& layout);

}  // namespace trireme::launch
