// How long this rank was busy in each step, told to the others every now and then, so that rank 0 can say who is slow
// (slow_rank.h). Busy is a step's time less what the rank waited in for messages (FlightRecorder::waited_seconds).
// An interval is at least ten steps and about a second of them, and ends with a step that is logged: what disturbs a
// rank on a shared machine for some milliseconds does not last through three.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "launch/slow_rank.h"
#include "runtime/communicator.h"
#include "runtime/stream.h"

namespace trireme::launch {

class BusyWatch {
 public:
  /// Of several ranks; this one is of a `stage` of the pipeline. Collective; takes all memory that it will use.
  BusyWatch(runtime::Communicator& world, int stage, int64_t log_every);

  void begin_step(const runtime::Stream& stream);
  /// Collective at the end of an interval: on all ranks after the same step. The verdict then, on rank 0.
  std::optional<BusyVerdict> end_step(const runtime::Stream& stream, int64_t step, double step_seconds);

 private:
  BusyTimes own_times();

  runtime::Communicator& world_;
  int stage_;
  int64_t log_every_;
  int64_t interval_steps_;
  double waited_before_ = 0;
  int64_t flops_before_ = 0;
  int64_t flops_ = 0;         ///< of the last step; all are alike
  double step_seconds_ = 0;   ///< of the interval's steps together
  int64_t steps_ = 0;         ///< of the interval
  std::vector<double> busy_;  ///< of its last steps, in no order
  std::vector<BusyTimes> all_;
  SlowRanks slow_ranks_;
};

}  // namespace trireme::launch
