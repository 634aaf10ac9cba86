// What one layout of a training needs and how fast it should be: dry steps of its ranks, held against a calibration.
// `plan`, its search, `train --device-memory` and `submit` ask here.
#pragma once

#include <cstdint>
#include <vector>

#include "launch/layout.h"
#include "launch/options.h"
#include "model/config.h"
#include "model/rank_plan.h"
#include "parallel/step_time.h"
#include "runtime/calibration.h"

namespace trireme::launch {

/// What is planned, whatever the layout.
struct PlannedTraining {
  TrainOptions options;         ///< batch, precision, device, document mask; their layout is not read
  model::ModelConfig config;    ///< with a vocabulary
  int64_t sequence_length = 0;  ///< T
  runtime::Calibration calibration;

  int64_t tokens_per_step() const { return options.global_batch_size * sequence_length; }
  /// That which is planned for: only --device cuda means a GPU, which need not be there.
  runtime::Device device() const { return options.device == "cuda" ? runtime::Device::cuda : runtime::Device::cpu; }
  runtime::DType storage() const;
};

struct LayoutPlan {
  Layout layout;
  model::Recompute recompute = model::Recompute::none;
  /// Of each stage of the pipeline a rank, the first in tp and dp; the others need the same memory.
  std::vector<model::RankPlan> stages;
  int64_t reserve_bytes = 0;  ///< of each rank: what libraries take for themselves, by the calibration
  parallel::StepTime time;    ///< without seconds where the calibration knows none
  double tokens_per_second = 0;
  double mfu = 0;  ///< by the calibration's peak of that precision; 0 where none is known
  double hfu = 0;  ///< with what is computed again, as the ops count it

  bool has_time() const { return time.step_seconds > 0; }
  /// Of a rank of that stage: its plan, staging of messages, reserve.
  int64_t needed_bytes(size_t stage) const {
    return stages[stage].memory.total_bytes() + stages[stage].staging_bytes + reserve_bytes;
  }
  /// Of the rank that needs most.
  int64_t needed_bytes() const;
};

/// What model::plan_rank() is asked for a layout.
model::StepLayout step_layout(const PlannedTraining& training, const Layout& layout, model::Recompute recompute);

/// The memory of a layout, its messages and its work, without the time: all of a plan that needs no calibration.
/// `microbatches_run` of them are run dry (0: all) and stand for the others: exact, but for some messages (see
/// model/rank_plan.h). Throws Error(usage) when layout, schedule and model do not fit each other.
LayoutPlan plan_memory(const PlannedTraining& training, const Layout& layout, model::Recompute recompute,
                       int64_t microbatches_run = 0);

/// The whole plan. As plan_memory().
LayoutPlan plan_layout(const PlannedTraining& training, const Layout& layout, model::Recompute recompute,
                       int64_t microbatches_run = 0);

/// Few that stand for all, where what plan_memory() says of them suffices.
inline constexpr int64_t kFewMicrobatches = 3;

/// Peak of a rank for activations of that precision; 0: not known.
double peak_flops_per_second(const runtime::Calibration& calibration, runtime::DType storage);

/// Ranks on each machine: the calibration's, or as many as measured it.
int ranks_per_node(const runtime::Calibration& calibration);

}  // namespace trireme::launch
