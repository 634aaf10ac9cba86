// How a TrainingRun ends before its last step: who wants that and why, the last save, the note for the script of the
// job.
#include <algorithm>
#include <string>
#include <vector>

#include "launch/exit_record.h"
#include "launch/step_votes.h"
#include "launch/stop_plan.h"
#include "launch/stop_request.h"
#include "launch/training_run.h"
#include "runtime/error.h"
#include "runtime/flight_recorder.h"
#include "runtime/log.h"
#include "runtime/stopwatch.h"

namespace trireme::launch {

void TrainingRun::find_budget() {
  int64_t most_bytes = written_bytes();  // the ranks write beside each other
  world_.all_reduce(runtime::view_of(std::span<int64_t>(&most_bytes, 1), {1}), runtime::ReduceOp::max).wait();
  if (!is_leader()) return;
  const std::optional<TimeLimit> limit = find_time_limit(settings_.options.time_limit);
  if (!limit) return;
  budget_.emplace(*limit, estimated_save_seconds(most_bytes));
  runtime::log_info(budget_->start_text(steady_seconds()));
}

/// At the end of `step`. This rank alone; a time limit is the leader's to watch.
bool TrainingRun::wants_stop_at(int64_t step) const {
  if (StopSignals::noted() != 0) return true;
  if (!budget_) return false;
  SavedSteps saved{.newest = saved_step_, .in_flight = {}};
  if (saver_ && saver_->in_flight()) saved.in_flight = begun_step_;
  return budget_->must_stop(steady_seconds(), saves_before_stop(step, saved));
}

int64_t TrainingRun::votes() const {
  return StepVotes{.save_ready = saver_->vote(), .stop = wants_stop_at(progress_.step + 1) ? 1 : 0}.packed();
}

/// What the ranks do at the end of this step; the leader's view of time is everyone's. Collective.
StopPlan TrainingRun::plan_stop(bool by_signal) {
  const bool may_save = !budget_ || budget_->may_save(steady_seconds());
  return {.step = progress_.step,
          .newest_saved = saved_step_,
          .may_save = !runtime::all_gather_bytes(world_, may_save ? "may" : "").front().empty(),
          .validates = validates(),
          .rolls_back = is_stuck(),
          .by_signal = by_signal};
}

/// Once all ranks have agreed. Nobody leaves before all are done: the first that leaves with an exit code other than 0
/// has the launcher kill the others.
int TrainingRun::end_early() {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::saving);
  const std::vector<std::string> signals = runtime::all_gather_bytes(world_, signal_name(StopSignals::noted()));
  const bool by_signal = std::ranges::any_of(signals, [](const std::string& name) { return !name.empty(); });
  const std::string reason = stop_reason(signals, budget_ ? budget_->text(steady_seconds()) : "");  // the leader's
  if (is_leader()) display_.reset();  // ends the live line
  if (saver_ && saver_->in_flight()) {
    if (is_leader()) {
      runtime::log_info(reason + ": waiting until step " + std::to_string(begun_step_) + " is saved" +
                        (by_signal ? "; the same signal again ends at once" : ""));
    }
    end_save(saver_->finish());
  }
  const StopPlan plan = plan_stop(by_signal);
  if (is_leader()) {
    const std::string loss = plan.loss_text();
    if (!loss.empty()) runtime::log_warning(budget_->text(steady_seconds()) + ": " + loss);
    runtime::log_info(reason + ": " + plan.text());
  }
  if (plan.saves()) {
    const runtime::Stopwatch watch;
    begin_save();
    end_save(saver_->finish());
    if (is_leader()) {
      runtime::log_info("step " + std::to_string(plan.step) + " is saved, which took " + limit_text(watch.seconds()));
    }
  }
  if (is_leader()) {
    try {
      write_exit_record(files_, settings_.options.run, attempt_,
                        {.code = kRequeueExit, .reason = reason, .ranks = {}, .step = saved_step_});
    } catch (const runtime::Error& error) {
      runtime::log_error(error.what());  // the exit code says it too
    }
  }
  if (trace_) trace_->finish();  // last: whoever ends the job may not wait for it
  world_.barrier().wait();
  return kRequeueExit;
}

}  // namespace trireme::launch
