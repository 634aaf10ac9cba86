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
};

struct LayoutPlan {
  Layout layout;
  model::Recompute recompute = model::Recompute::none;
  /// Of each stage of the pipeline that rank which needs most: the first in tp and dp.
  std::vector<model::RankPlan> stages;
  int64_t reserve_bytes = 0;  ///< of each rank: what libraries take for themselves, by the calibration
  parallel::StepTime time;
  double tokens_per_second = 0;
  double mfu = 0;  ///< by the calibration's peak of that precision; 0 where none is known
  double hfu = 0;  ///< with what is computed again, as the ops count it

  /// Of a rank of that stage: its plan, staging of messages, reserve.
  int64_t needed_bytes(size_t stage) const {
    return stages[stage].memory.total_bytes() + stages[stage].staging_bytes + reserve_bytes;
  }
  /// Of the rank that needs most.
  int64_t needed_bytes() const;
};

/// Exact in memory; `microbatches_run` of them are run dry (0: all) and stand for the others, which makes the messages of
/// ZeRO 2 and 3 and the times means over those. Throws Error(usage) as resolve_layout() does.
LayoutPlan plan_layout(const PlannedTraining& training, const Layout& layout, model::Recompute recompute,
                       int64_t microbatches_run = 0);

}  // namespace trireme::launch
