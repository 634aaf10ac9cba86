// How a model is computed, which changes its memory and speed: storage, recomputation, device, and how the ranks of a
// mesh share the work. Not what it is.
#pragma once

#include <cstdint>

#include "parallel/schedule.h"
#include "runtime/device.h"
#include "runtime/dtype.h"

namespace trireme::model {

/// What of the activations is saved for backward, and what is computed again there (Korthikanti et al. 2022,
/// arXiv:2205.05198). The numbers are the same to the bit.
enum class Recompute {
  none,
  selective,  ///< outputs of norms and activation functions are computed again
  full,       ///< a block keeps its input only
};

struct Execution {
  /// Of activations and of the weights that layers read: fp32, or bf16 with fp32 master weights.
  runtime::DType storage = runtime::DType::fp32;
  Recompute recompute = Recompute::none;
  runtime::Device device = runtime::Device::cpu;  ///< where the ops run, or for which a plan is made: cpu or cuda
  int zero_stage = 0;                             ///< what the ranks of dp share (parallel/unit_shards.h)
  parallel::ScheduleKind schedule = parallel::ScheduleKind::one_f_one_b;
  int virtual_stages = 1;  ///< chunks of layers a stage of the pipeline
  /// Of the global batch, for sums that no layout changes (parallel/lane_sums.h): microbatches of one sequence.
  /// 0: none.
  int lanes = 0;
  int64_t cut_tokens = 0;  ///< sequence length for which stages are cut; 0: the model's positions
};

}  // namespace trireme::model
