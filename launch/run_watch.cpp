#include "launch/run_watch.h"

#include "checkpoint/step_directory.h"
#include "launch/exit_record.h"
#include "runtime/log.h"

namespace trireme::launch {

RunWatch::RunWatch(runtime::Files& files, runtime::Communicator& world, const TrainOptions& options)
    : files_(files), run_(options.run), rank_(world.rank()), recorder_(world.recorder()) {
  if (options.watchdog_timeout == 0 || world.size() == 1) return;
  watchdog_.emplace(world, runtime::WatchdogOptions{.limit_seconds = options.watchdog_timeout,
                                                    .record = [this](const auto& verdict) { leave_record(verdict); }});
}

void RunWatch::end() {
  if (recorder_ != nullptr) recorder_->set_phase(runtime::Phase::ending);
  if (watchdog_) watchdog_->end();
}

void RunWatch::look_at(const runtime::Error& error) {
  if (watchdog_ && error.kind() == runtime::ErrorKind::mismatch) watchdog_->disagree(error.what());
}

/// In a thread of the watchdog, while the training thread may be anywhere.
void RunWatch::leave_record(const runtime::WatchdogVerdict& verdict) const {
  if (attempt_ == 0) return;  // the run is not this start's yet
  try {
    // Ranks that have lost each other all come here; the first has judged.
    if (has_exit_record(files_, run_, attempt_)) return;
    const std::vector<int64_t> steps = checkpoint::committed_steps(files_, run_ + "/checkpoints");
    write_exit_record(files_, run_, attempt_,
                      {.code = runtime::kWatchdogExit,
                       .reason = verdict.reason,
                       .ranks = verdict.ranks,
                       .step = steps.empty() ? 0 : steps.back(),
                       .written_by = rank_});
    runtime::log_info(
        "the same command goes on from " +
        (steps.empty() ? "the beginning, for there is no checkpoint" : "step " + std::to_string(steps.back())) +
        " (exit " + std::to_string(runtime::kWatchdogExit) + ")");
  } catch (const runtime::Error& failure) {
    runtime::log_error(failure.what());
  }
}

}  // namespace trireme::launch
