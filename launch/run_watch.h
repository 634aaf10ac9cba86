// The watchdog of a training run (runtime/watchdog.h), and what it leaves behind: RUN/exit.json, by which the script of
// a job starts it again. A program started alone has nobody to wait for, and none.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "launch/options.h"
#include "runtime/communicator.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/watchdog.h"

namespace trireme::launch {

class RunWatch {
 public:
  /// Collective. --watchdog-timeout 0: nobody is watched.
  RunWatch(runtime::Files& files, runtime::Communicator& world, const TrainOptions& options);

  /// This start owns the run (run_claim.h): from now on it may write there.
  void set_attempt(int64_t attempt) { attempt_ = attempt; }

  /// Collective: training is done, nobody is late any more.
  void end();
  /// What ended this rank's training. Ranks in different calls: the watchdog finds out which is wrong and ends the job;
  /// any other failure is the caller's.
  void look_at(const runtime::Error& error);

 private:
  void leave_record(const runtime::WatchdogVerdict& verdict) const;

  runtime::Files& files_;
  std::string run_;
  int rank_;
  runtime::FlightRecorder* recorder_;
  std::atomic<int64_t> attempt_ = 0;
  std::optional<runtime::Watchdog> watchdog_;
};

}  // namespace trireme::launch
