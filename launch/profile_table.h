// What `train --profile` prints: where the time of a step went, op by op, held against the machine's peaks. Pure
// functions of what was measured; they do not know who measured it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/calibration.h"
#include "runtime/op_profile.h"

namespace trireme::launch {

/// Sums over `steps` steps of one rank.
struct StepProfile {
  runtime::OpProfile ops;
  int64_t steps = 0;
  bool first_step_left_out = false;
  double step_seconds = 0;     ///< without validation and checkpoints
  double data_seconds = 0;     ///< waiting for batches
  double message_seconds = 0;  ///< waiting for the reduction after the last backward pass
};

/// What a step is held against.
struct StepScale {
  int64_t ranks = 1;
  int64_t tokens_per_step = 0;  ///< of all ranks
  double flops_per_token = 0;   ///< the model's own: 6 N + 6 L C T
  std::optional<runtime::Calibration> calibration;
};

/// Lines of at most 100 columns, means per step: the ops by falling time, what is none of them, the step; then
/// tokens/s, mfu and hfu with their formulas.
std::string profile_table(const StepProfile& profile, const StepScale& scale);

/// How mfu is computed, of model::model_utilisation's values: "tokens/s x 100.0 Mflop (6 N + 6 L C T) / (400.0 Gflop/s
/// x 2 ranks)".
std::string mfu_formula(double flops_per_token, double peak_flops_per_second, int64_t ranks);

}  // namespace trireme::launch
