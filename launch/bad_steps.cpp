// What a TrainingRun does about steps whose update was not made: it counts and says them, goes back to a checkpoint
// (--rollback-after) past the data that it failed on, and gives up where that does not help. Every decision comes from
// the step's result and the saved progress, so that all ranks, and a run that is resumed, decide alike.
#include <algorithm>

#include "launch/number_text.h"
#include "launch/training_run.h"
#include "runtime/error.h"
#include "runtime/flight_recorder.h"
#include "runtime/log.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;
using runtime::UpdateVerdict;

namespace {

/// So many steps in a row without an update are no accident.
constexpr int64_t kDiverged = 10;

/// So many rollbacks that get no further than the one before show that it is not the data.
constexpr int64_t kMostRollbacks = 3;

[[noreturn]] void fail_diverged(const std::string& what, const TrainOptions& options) {
  const std::string outliers = options.skip_outliers > 0 ? ", or a higher --skip-outliers" : "";
  throw Error(ErrorKind::data,
              what + ": the training has diverged; go back with --resume STEP and a lower --learning-rate" + outliers);
}

std::string reason_text(const StepRecord& record, const runtime::UpdateLimits& limits) {
  const auto outlier = [](const std::string& what, double value, double limit) {
    return what + " " + number_text(value) + " is an outlier, above " + number_text(limit);
  };
  if (record.verdict == UpdateVerdict::outlier_loss) {
    return outlier("loss", record.loss, static_cast<double>(limits.loss));
  }
  if (record.verdict == UpdateVerdict::outlier_grad_norm) {
    return outlier("gradient norm", record.grad_norm, static_cast<double>(limits.grad_norm));
  }
  return "loss or gradient is not finite";
}

}  // namespace

void TrainingRun::count(const StepRecord& record) {
  if (record.skipped()) {
    progress_.skipped_steps += 1;
    progress_.skipped_in_a_row += 1;
    return;
  }
  progress_.updates += 1;
  progress_.skipped_in_a_row = 0;
  if (settings_.options.skip_outliers > 0) progress_.history.add({.loss = record.loss, .grad_norm = record.grad_norm});
}

void TrainingRun::say_skipped(const StepRecord& record, const runtime::UpdateLimits& limits) const {
  const bool is_worth_a_line = progress_.skipped_in_a_row <= 3 || progress_.skipped_in_a_row % 100 == 0;
  if (!record.skipped() || !is_leader() || !is_worth_a_line) return;
  runtime::log_warning("step " + std::to_string(record.step) + ": " + reason_text(record, limits) +
                       "; no update was made (" + std::to_string(progress_.skipped_steps) + " so far)");
}

bool TrainingRun::is_stuck() const {
  const int64_t most = settings_.options.rollback_after;
  return most > 0 && progress_.skipped_in_a_row >= most;
}

/// What a rollback begins with. Collective.
void TrainingRun::load_to_go_back(int64_t bad_steps, int64_t first) {
  const std::string bad =
      "the last " + counted(bad_steps, "step") + " made no update, and --run " + settings_.options.run + " has no ";
  const std::string before = "checkpoint from before step " + std::to_string(first) + " to go back to";
  const std::string mend = "begin anew with a lower --learning-rate or more --warmup-steps";
  bool is_there = false;
  try {
    is_there = resume({}, first - 1);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw Error(ErrorKind::data, bad + "good " + before + " (" + error.what() + "): " + mend);
  }
  if (is_there) return;
  throw Error(ErrorKind::data, bad + before + ": " + mend +
                                   "; a lower --checkpoint-every or a higher --keep-last keeps more to go back to");
}

/// To the newest good checkpoint from before the first step of the row, with its moments, schedule and history; samples
/// go on where the last step ended. A start that dies before the next save begins at that checkpoint with its own
/// samples, and comes here again: it ends with the same bits. Collective.
void TrainingRun::roll_back() {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::loading);
  if (saver_->in_flight()) end_save(saver_->finish());
  Progress stuck = progress_;
  const int64_t first = stuck.step - stuck.skipped_in_a_row + 1;
  if (first > stuck.trouble_step) stuck.rollbacks = 0;
  if (stuck.rollbacks == kMostRollbacks) {
    fail_diverged(counted(kMostRollbacks, "rollback") + " did not get beyond step " +
                      std::to_string(stuck.trouble_step) + ", from which on no update was made",
                  settings_.options);
  }
  saver_.reset();                       // its copies of a step, and what is loaded, both take host memory
  trainer_->shards.finish_gradients();  // parameters of the last update may be on their way still
  load_to_go_back(stuck.skipped_in_a_row, first);
  const int64_t left_out = stuck.samples - progress_.samples;
  changes_.push_back({.text = "rolled back from step " + std::to_string(stuck.step) + ", as the last " +
                              counted(stuck.skipped_in_a_row, "step") + " made no update; samples " +
                              std::to_string(progress_.samples) + " to " + std::to_string(stuck.samples - 1) +
                              " are left out",
                      .samples_left_out = left_out});
  progress_.samples = stuck.samples;
  progress_.samples_left_out += left_out;
  progress_.trouble_step = std::max(first, stuck.trouble_step);
  progress_.rollbacks = stuck.rollbacks + 1;
  if (is_leader()) open_files(true);
  begin_steps();
}

void TrainingRun::check_end() const {
  if (progress_.skipped_in_a_row < kDiverged) return;
  fail_diverged("the last " + counted(progress_.skipped_in_a_row, "step") +
                    " made no update, since loss or gradient was not finite" +
                    (settings_.options.skip_outliers > 0 ? " or an outlier" : ""),
                settings_.options);
}

}  // namespace trireme::launch
