// All ways to share a training among its ranks, and what stands in the way of those that model or batch do not allow.
// Arithmetic on sizes, judged by layout_checks.h as train is; memory and time are layout_search.h's business.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/layout.h"
#include "launch/options.h"
#include "model/config.h"
#include "model/execution.h"

namespace trireme::launch {

/// A way to share the work: what the search chooses.
struct LayoutChoice {
  Layout layout;
  model::Recompute recompute = model::Recompute::none;
  bool operator==(const LayoutChoice&) const = default;
};

/// What a layout falls by, in the order in which it is asked.
enum class Obstacle {
  none,
  tensor_parallel,  ///< heads, widths or the sequence cannot be divided so
  machine,          ///< has other numbers of ranks, and layers would be shared across machines
  pipeline,         ///< a schedule was given that needs one
  layers,           ///< fewer than stages
  batch,            ///< cannot be divided so
  microbatches,     ///< of a number that interleaving does not take
  memory,
};

/// "tensor-parallel", "memory", ...: as JSON has it.
std::string_view name(Obstacle obstacle);

/// A layout, or where a mesh falls as a whole that mesh alone, with nothing else chosen.
struct Candidate {
  LayoutChoice choice;
  Obstacle obstacle = Obstacle::none;
  std::string reason;    ///< one line, without a mend
  int64_t distance = 0;  ///< from what fits, comparable among those that fall by the same obstacle
};

/// The options that are chosen among are --tensor-parallel, --pipeline-parallel, --pipeline-schedule, --virtual-stages,
/// --zero-stage, --microbatch-size and --recompute, but for those that were given.
struct LayoutSpace {
  TrainOptions options;
  std::vector<std::string> given;  ///< names, without dashes, of options whose value stays
  model::ModelConfig config;
  int64_t sequence_length = 0;  ///< T
  int ranks = 1;
  int ranks_per_machine = 1;  ///< tensor parallelism that was not given stays inside of one
};

/// Those options with what was chosen.
TrainOptions with_choice(TrainOptions options, const LayoutChoice& choice);

/// "--tensor-parallel 2 --zero-stage 1 --microbatch-size 4": with_choice() as train takes it.
std::string choice_words(const LayoutChoice& choice);

/// Whether all but schedule and virtual stages is the same.
bool differ_in_pipeline_alone(const LayoutChoice& a, const LayoutChoice& b);

/// Every mesh whose axes divide the ranks; of each that model and batch allow every schedule (1F1B, interleaved with 2
/// virtual stages or more as far as there are layers, ZB-H1), microbatches of every power of two that divides the share
/// of a rank of dp, every ZeRO stage where dp > 1 and every kind of recomputation. Always in the same order, in which
/// those that differ in their pipeline alone are neighbours. GPipe only where it was given: it holds more than 1F1B and
/// is no faster. Throws Error(usage) when what was given divides
/// the ranks in no way.
std::vector<Candidate> layout_candidates(const LayoutSpace& space);

}  // namespace trireme::launch
