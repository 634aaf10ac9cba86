#include "launch/training_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "checkpoint/attempt.h"
#include "launch/memory_plans.h"
#include "launch/microbatch.h"
#include "launch/number_text.h"
#include "launch/run_claim.h"
#include "launch/step_votes.h"
#include "launch/version.h"
#include "runtime/error.h"
#include "runtime/flight_recorder.h"
#include "runtime/log.h"
#include "runtime/stopwatch.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// Of seconds that a step waited for the save before.
constexpr double kLongWait = 1;

/// While it lives the stream's ops are timed into `profile` (null: they are not): those of a step, not of validation.
class ProfileScope {
 public:
  ProfileScope(runtime::Stream& stream, runtime::OpProfile* profile) : stream_(stream) {
    stream_.profile_into(profile);
  }
  ~ProfileScope() { stream_.profile_into(nullptr); }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  runtime::Stream& stream_;
};

std::vector<checkpoint::TensorSlice> at_indices(const std::vector<checkpoint::TensorSlice>& all,
                                                const std::vector<size_t>& indices) {
  std::vector<checkpoint::TensorSlice> some;
  for (size_t i : indices) some.push_back(all[i]);
  return some;
}

/// Of host memory, for a step that is being saved while training goes on. Collective.
int64_t agree_on_snapshot_bytes(const TrainingSettings& settings, runtime::Communicator& world, int64_t all_bytes) {
  // Nothing goes on beside the only save, that of the last step.
  const bool is_behind = settings.options.checkpoint_every > 0;
  const int64_t wanted_bytes = is_behind ? all_bytes : std::min(all_bytes, checkpoint::Snapshot::kSmallestBytes);
  const int64_t bytes = share_snapshot_memory(world, wanted_bytes, settings.options.snapshot_memory);
  if (world.rank() == 0 && bytes < wanted_bytes) {
    runtime::log_info("copies of a step that is saved: " + bytes_text(bytes) + " of " + bytes_text(wanted_bytes) +
                      " a rank; training waits while the rest is written");
  } else if (world.rank() == 0 && is_behind) {
    runtime::log_info("copies of a step that is saved: " + bytes_text(bytes) + " a rank");
  }
  return bytes;
}

}  // namespace

TrainingRun::TrainingRun(const TrainingSettings& settings, const runtime::MemoryPlan& plan,
                         runtime::Communicator& world, const RunData& data)
    : settings_(settings),
      world_(world),
      files_(runtime::real_files()),
      training_(data.training),
      groups_(parallel::make_groups(settings.layout.mesh, world)),
      memory_(runtime::Memory::on(settings.execution.device, plan)),
      stream_(settings.execution.device),
      trainer_(model::make_trainer(settings.config, model::Purpose::training, settings.execution, stream_, memory_,
                                   groups_)),
      held_(rank_slices(trainer_->units, Contents::training, groups_.at)),
      written_(at_indices(held_.slices, written_slices(held_, groups_.mesh, groups_.at, settings.layout.zero_stage))),
      metrics_({.version = version(), .commit = commit()}) {
  metrics_.set_ranks(world.size());
  if (settings.calibration) {
    metrics_.set_peak_flops(settings.calibration->fma_flops_per_second * static_cast<double>(world.size()));
  }
  if (data.validation.empty()) return;
  validation_.emplace(data.validation, data::ValidationOptions{.sequence_length = settings.sequence_length,
                                                               .microbatch_size = settings.layout.microbatch_size,
                                                               .rank = groups_.at.dp,
                                                               .ranks = groups_.mesh.dp,
                                                               .document_mask = settings.options.document_mask});
}

int TrainingRun::run(int64_t attempt) {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::training);
  attempt_ = attempt;
  find_budget();
  const bool has_steps = start_or_resume();
  if (has_steps) train();
  if (has_steps && settings_.options.profile && is_leader()) {
    display_.reset();  // ends the live line
    print_profile();
  }
  // A stop that was agreed in the last step finds it saved, and is one only if something is left.
  const bool is_done = is_last() && !validates() && !is_stuck();
  if (is_stopping_ && !is_done) return end_early();
  if (trace_) trace_->finish();
  check_end();
  if (lost_lines_ > 0) {
    throw Error(ErrorKind::io, "the run is saved, but " + directory_->path() + "/log.jsonl misses " +
                                   counted(lost_lines_, "line") + " that could not be written");
  }
  return 0;
}

/// To the last step, or to a stop. Steps from which it rolls back are neither saved nor validated, but for a stop: the
/// next start then begins with the rollback.
void TrainingRun::train() {
  begin_steps();
  if (world_.size() > 1) busy_.emplace(world_, groups_.at.pp, settings_.options.log_every);
  if (const TrainOptions& o = settings_.options; !o.trace.empty()) {
    trace_.emplace(StepTraceOptions{.file = o.trace, .steps = o.trace_steps, .skip = o.trace_skip}, files_, world_,
                   *trainer_);
  }
  while (has_more() && !is_stopping_) {
    if (is_stuck()) {
      roll_back();
      continue;
    }
    StepRecord record = step();
    const bool is_due = is_last() || (due(settings_.options.checkpoint_every) && !is_stopping_);
    if (is_due && !is_stuck()) save(record);
    if (validates() && !is_stopping_) validate(record);  // it may take long, and fail: what was trained is saved
    if (is_leader()) note(record);
  }
}

int64_t TrainingRun::saved_bytes() const {
  return 12 * model::parameter_count(settings_.config);
}

int64_t TrainingRun::written_bytes() const {
  int64_t bytes = 0;
  for (const checkpoint::TensorSlice& slice : written_) bytes += slice.data.bytes();
  return bytes;
}

/// What people and the log are told of a finished step. Of the leader.
void TrainingRun::note(const StepRecord& record) {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::saving);  // it writes
  const bool logged = validates() || due(settings_.options.log_every) || progress_.step == 1 || is_last() || is_stuck();
  if (record.validation_loss) display_->validation(record.step, *record.validation_loss);
  display_->step(record, logged);
  if (logged) log(record);
}

/// What steps from progress_ on need. Collective.
void TrainingRun::begin_steps() {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::loading);
  saver_.emplace(files_, world_, stream_, agree_on_snapshot_bytes(settings_, world_, written_bytes()));
  loader_.emplace(training_, data::LoaderOptions{.sequence_length = settings_.sequence_length,
                                                 .global_batch_size = settings_.options.global_batch_size,
                                                 .microbatch_size = settings_.layout.microbatch_size,
                                                 .rank = groups_.at.dp,  // those of a pipeline and of tp read the same
                                                 .ranks = groups_.mesh.dp,
                                                 .order = settings_.order(),
                                                 .first_sample = progress_.samples,
                                                 .document_mask = settings_.options.document_mask});
}

/// A log that cannot be written (a full disk) is no reason to lose the training behind it.
void TrainingRun::log(const StepRecord& record) {
  try {
    checkpoint::check_attempt(files_, directory_->checkpoints_path(), attempt_, run_owner());
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::peer) throw;  // the log is another attempt's now
  }
  try {
    if (is_last()) {
      log_->put(step_json(record));
    } else {
      log_->append(record);
    }
  } catch (const Error& error) {
    if (lost_lines_++ == 0) runtime::log_error(std::string(error.what()) + "; training goes on");
  }
}

/// In a phase of its own: a disk may take its time.
const std::vector<data::Microbatch>& TrainingRun::next_batches() {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::loading);
  const runtime::TraceSpan span(events(), "data");
  return loader_->next();
}

bool TrainingRun::next_validation(data::Microbatch& batch) {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::loading);
  return validation_->next(batch);
}

StepRecord TrainingRun::step() {
  // The first step makes plans and touches memory: it counts only where there is no other.
  if (profile_.steps == 1 && !profile_.first_step_left_out) profile_ = {.first_step_left_out = true};
  const ProfileScope profiled(stream_, settings_.options.profile ? &profile_.ops : nullptr);
  if (trace_) trace_->begin_step(progress_.step + 1);
  const runtime::Stopwatch watch;
  if (busy_) busy_->begin_step(stream_);
  if (budget_) budget_->begin_step(steady_seconds());
  const std::vector<data::Microbatch>& batches = next_batches();
  const double data_seconds = watch.seconds();
  std::vector<model::HostMicrobatch> microbatches;
  for (const data::Microbatch& batch : batches)
    microbatches.push_back(host_microbatch(batch, settings_.sequence_length));

  model::UpdateOptions update = settings_.update(progress_.step, progress_.updates + 1);
  update.limits = progress_.history.limits(settings_.options.skip_outliers);
  const model::StepResult result = model::train_step(*trainer_, microbatches, update, [this] { return votes(); });
  progress_.step += 1;
  progress_.samples += settings_.options.global_batch_size;

  StepRecord record{.step = progress_.step,
                    .tokens = progress_.samples_trained_on() * settings_.sequence_length,
                    .loss = result.loss,
                    .grad_norm = result.grad_norm,
                    .learning_rate = update.learning_rate,
                    .step_seconds = watch.seconds(),
                    .verdict = result.verdict};
  record.tokens_per_second = static_cast<double>(settings_.tokens_per_step()) / record.step_seconds;
  record.phase_seconds = {{"data", data_seconds},
                          {"forward", result.times.forward_seconds},
                          {"backward", result.times.backward_seconds},
                          {"comm", result.times.reduce_seconds},
                          {"optimizer", result.times.update_seconds}};
  if (settings_.calibration) {
    record.mfu = model::model_utilisation(record.tokens_per_second,
                                          model::flops_per_token(settings_.config, settings_.sequence_length),
                                          settings_.calibration->fma_flops_per_second, world_.size());
  }
  if (trace_) trace_->end_step();
  if (busy_) record.busy = busy_->end_step(stream_, record.step, record.step_seconds);
  add_to_profile(record);
  count(record);
  say_skipped(record, update.limits);
  report(record, result.target_tokens);
  if (budget_) budget_->end_step(steady_seconds());
  const StepVotes votes = StepVotes::unpacked(result.votes);
  is_stopping_ = votes.stop > 0;
  if (const std::optional<checkpoint::SaveEnd> end = saver_->advance(votes.save_ready)) end_save(*end);
  return record;
}

void TrainingRun::add_to_profile(const StepRecord& record) {
  profile_.steps += 1;
  profile_.step_seconds += record.step_seconds;
  profile_.data_seconds += record.phase_seconds.at("data");
  profile_.message_seconds += record.phase_seconds.at("comm");
}

void TrainingRun::print_profile() const {
  const std::string table =
      profile_table(profile_, {.ranks = world_.size(),
                               .tokens_per_step = settings_.tokens_per_step(),
                               .flops_per_token = model::flops_per_token(settings_.config, settings_.sequence_length),
                               .calibration = settings_.calibration});
  std::fputs(table.c_str(), stderr);
}

void TrainingRun::report(const StepRecord& record, int64_t target_tokens) {
  metrics_.record_step({.loss = record.loss,
                        .grad_norm = record.grad_norm,
                        .learning_rate = record.learning_rate,
                        .step_seconds = record.step_seconds,
                        .samples = settings_.options.global_batch_size,
                        .tokens = settings_.tokens_per_step(),
                        .model_flops = model::flops_per_token(settings_.config, settings_.sequence_length) *
                                       static_cast<double>(target_tokens)});
  if (record.skipped()) {
    metrics_.record_skipped_step(record.verdict == runtime::UpdateVerdict::not_finite ? "nonfinite" : "outlier");
  }
  for (const auto& [phase, seconds] : record.phase_seconds) metrics_.add_phase_seconds(phase, seconds);
  metrics_.add_data_wait_seconds(record.phase_seconds.at("data"));
  report_messages();
  if (record.busy) say_who_is_slow(*record.busy);
}

void TrainingRun::say_who_is_slow(const BusyVerdict& verdict) {
  metrics_.record_busy_ranks({.busiest_rank = verdict.busiest_rank,
                              .busy_seconds = verdict.busy_seconds,
                              .least_busy_seconds = verdict.busy_seconds_least,
                              .slow_rank = verdict.slow ? verdict.slow->rank : -1,
                              .slow_by = verdict.slow ? verdict.slow->by : 0});
  if (!verdict.ended.empty()) runtime::log_info(verdict.ended);
  if (!verdict.named.empty()) runtime::log_warning(verdict.named);
}

void TrainingRun::report_messages() {
  const auto report_group = [&](const std::string& axis, const std::unique_ptr<runtime::Communicator>& group) {
    if (group->size() == 1) return;
    for (const auto& [op, total] : group->totals()) {
      metrics_.set_comm_totals(op, "mpi", axis, total.calls, total.bytes);
      metrics_.set_comm_seconds(op, "mpi", axis, total.seconds);
    }
  };
  report_group("tp", groups_.tp);
  report_group("dp", groups_.dp);
  report_group("pp", groups_.pp);
  report_group("pp_forward", groups_.pp_forward);
  report_group("pp_backward", groups_.pp_backward);
  report_group("tied", groups_.tied);
}

/// Abandoned without a loss, and is_stopping_, when a rank wants to stop meanwhile: before every microbatch the ranks
/// ask each other, and learn it behind that microbatch.
void TrainingRun::validate(StepRecord& record) {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::validating);
  const runtime::TraceSpan span(events(), "validation");
  const runtime::Stopwatch watch;
  model::reset_loss(*trainer_);
  validation_->rewind();
  data::Microbatch batch;
  for (bool more = next_validation(batch); more;) {
    int64_t wanted = wants_stop_at(progress_.step) ? 1 : 0;
    runtime::Pending asked =
        world_.all_reduce(runtime::view_of(std::span<int64_t>(&wanted, 1), {1}), runtime::ReduceOp::max);
    model::add_loss(*trainer_, host_microbatch(batch, settings_.sequence_length));
    more = next_validation(batch);
    asked.wait();
    is_stopping_ = wanted != 0 && more;
    if (is_stopping_) return;
  }
  record.validation_loss = model::mean_loss(*trainer_).loss;
  record.phase_seconds["eval"] = watch.seconds();
  metrics_.record_validation(*record.validation_loss);
  metrics_.add_phase_seconds("eval", record.phase_seconds["eval"]);
}

/// What training waits for: the copy, and a save before it that is not done yet. The last save is waited for.
void TrainingRun::save(StepRecord& record) {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::saving);
  const runtime::TraceSpan span(events(), "checkpoint");
  const runtime::Stopwatch watch;
  if (saver_->in_flight()) {
    const int64_t late_step = end_save(saver_->finish());
    if (is_leader() && watch.seconds() >= kLongWait) {
      runtime::log_warning("waited " + duration_text(watch.seconds()) + " until step " + std::to_string(late_step) +
                           " was saved: raise --checkpoint-every");
    }
  }
  begin_save();
  metrics_.record_checkpoint_phase("snapshot", watch.seconds());
  if (is_last()) {
    if (is_leader()) log(record);  // once it is committed nobody trains this step again; it is logged anew at its end
    end_save(saver_->finish());
  }
  record.phase_seconds["checkpoint"] = watch.seconds();
}

void TrainingRun::begin_save() {
  begun_step_ = progress_.step;
  saver_->begin({.checkpoints_directory = directory_->checkpoints_path(),
                 .step = progress_.step,
                 .run_id = run_id_,
                 .attempt = attempt_,
                 .owner = run_owner(),
                 .writer = {.version = version(), .commit = commit()},
                 .layout = layout_json(settings_.layout),
                 .state = state_json(settings_, progress_),
                 .retention = settings_.retention(),
                 .slices = written_});
}

/// A save that failed because of the disk or of memory leaves older checkpoints alone, and training goes on: the next
/// one may work. But the one of the step where it ends is the last.
int64_t TrainingRun::end_save(const checkpoint::SaveEnd& end) {
  metrics_.record_checkpoint_phase("write", end.seconds);
  metrics_.record_checkpoint(end.failure ? "failure" : "success");
  if (!end.failure) {
    saved_step_ = end.step;
    if (budget_) budget_->add_save(end.busy_seconds);
    metrics_.set_newest_checkpoint(
        saved_bytes(), std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
    return end.step;
  }
  failed_saves_ += 1;
  const bool may_go_on = end.failure->kind() == ErrorKind::io || end.failure->kind() == ErrorKind::device;
  const bool ends_here = is_last() || is_stopping_;
  if ((end.step == progress_.step && ends_here) || !may_go_on) throw Error(*end.failure);
  if (is_leader()) {
    runtime::log_error(std::string(end.failure->what()) + (is_stopping_ ? " (" : "; training goes on (") +
                       counted(failed_saves_, "failed save") + " so far)");
  }
  return end.step;
}

}  // namespace trireme::launch
