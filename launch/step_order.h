// What decides which documents a step trains on: data sets, order, and the range of samples. Of a run it comes from
// RUN/config.json, whose list of changes knows every batch size that the run has had, and what rollbacks left out;
// RUN/log.jsonl must agree.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "data/training_samples.h"
#include "launch/options.h"
#include "runtime/files.h"

namespace trireme::launch {

struct StepOrder {
  std::vector<std::string> directories;  ///< prepared ones
  boost::json::value digest;             ///< that they must have (data_sets.h); null: any
  int64_t sequence_length = 0;
  data::OrderOptions order;
  int64_t first_sample = 0;  ///< of the step
  int64_t samples = 0;       ///< the global batch
};

/// Of step `step` (from 1) of a run; a later one than the run has reached is told as it will be without further
/// changes. Throws Error(data) where config.json is not a run's or contradicts the log.
StepOrder step_order_of_run(runtime::Files& files, const std::string& run, int64_t step);

/// Of a training that begins with the data sets, as the options of `data show` say.
StepOrder step_order_of_options(const DataOptions& options);

}  // namespace trireme::launch
