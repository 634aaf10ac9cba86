// Steps of small models, trained on this machine so that the ops inside of them are timed as a step meets them: the
// caches full of other things, all threads at work. What a calibration predicts steps of larger models by.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "runtime/calibration.h"

namespace trireme::model {

struct ProbeStep {
  ModelConfig config;
  runtime::DType storage = runtime::DType::fp32;
  int64_t B = 1;
  int64_t T = 256;
  double dropout = 0;
  int64_t steps = 5;  ///< that are timed, behind one that warms up
};

/// Both families as small as nano and with the width of gpt2-124m, with 256 and 1,024 tokens, in both storages: every
/// op of a training step. The wide ones need 1.1 GB at most, one after another, and nearly all of the time.
std::vector<ProbeStep> small_probe_steps();
std::vector<ProbeStep> wide_probe_steps();

/// The calls of one step of a rank alone with compute_threads() threads, medians of its steps. What lies between ops is
/// shared out over the calls, so that all of them add up to the step.
std::vector<runtime::OpTime> time_ops(const ProbeStep& probe);

}  // namespace trireme::model
