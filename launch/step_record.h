// What the training loop knows about a finished step: the one source of the log line and of the progress line.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "launch/slow_rank.h"
#include "runtime/ops/adamw.h"

namespace trireme::launch {

struct StepRecord {
  int64_t step = 0;    ///< counted from 1: the first finished step is 1
  int64_t tokens = 0;  ///< trained on since the run began
  double loss = 0;     ///< of this step alone, mean per target token
  double grad_norm = 0;
  double learning_rate = 0;
  double step_seconds = 0;
  double tokens_per_second = 0;
  std::optional<double> mfu;
  std::map<std::string, double> phase_seconds;  ///< data, forward, backward, comm, optimizer, checkpoint, eval
  std::optional<double> validation_loss;        ///< on the steps that validate
  std::optional<BusyVerdict> busy;              ///< of rank 0 at the end of an interval (busy_watch.h)
  runtime::UpdateVerdict verdict = runtime::UpdateVerdict::made;

  bool skipped() const { return verdict != runtime::UpdateVerdict::made; }
};

}  // namespace trireme::launch
