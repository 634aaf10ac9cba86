// The outer loop of `train`: data, train_step, log, validation, checkpoints. One step fits on a screen (run()). It owns
// the run's memory, progress and files; the mathematics is model::train_step's. How it begins: training_start.cpp, how
// it ends before its last step: training_stop.cpp.
#pragma once

#include <boost/json/object.hpp>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/background_saver.h"
#include "checkpoint/tensor_slice.h"
#include "data/batch_loader.h"
#include "launch/busy_watch.h"
#include "launch/checkpoint_slices.h"
#include "launch/profile_table.h"
#include "launch/progress_line.h"
#include "launch/run_directory.h"
#include "launch/step_record.h"
#include "launch/step_trace.h"
#include "launch/stop_plan.h"
#include "launch/time_limit.h"
#include "launch/training_settings.h"
#include "model/train_step.h"
#include "runtime/communicator.h"
#include "runtime/files.h"
#include "runtime/memory.h"
#include "runtime/metrics.h"

namespace trireme::launch {

/// Before any memory is taken: makes the run directory and refuses, with Error(usage), a --resume that does not fit it
/// and a run of another model, data set or seed. Changes nothing in a run that is there.
void check_run(runtime::Files& files, const TrainingSettings& settings);

/// The splits of all data sets; of validation there may be none.
struct RunData {
  std::span<const data::TokenDataset> training;
  std::span<const data::TokenDataset> validation;
};

class TrainingRun {
 public:
  /// Takes all memory of the plan (model::plan_training). `world` and the data sets must outlive the run.
  TrainingRun(const TrainingSettings& settings, const runtime::MemoryPlan& plan, runtime::Communicator& world,
              const RunData& data);

  /// Initialises or resumes, trains to settings.last_step, saves. `attempt` was claimed (run_claim.h); throws
  /// Error(peer) at the next save or line of the log once a newer one is. Returns 0, or on all ranks kRequeueExit when
  /// it was asked to stop (stop_request.h on any rank, a time limit) before all was done. Collective.
  int run(int64_t attempt);

 private:
  /// An entry of config.json's `changes`: an allowed choice that a resume changed, or a rollback.
  struct Change {
    std::string text;
    int64_t samples_left_out = 0;
  };

  bool start_or_resume();
  bool resume(const Resume& wanted, int64_t last_step = std::numeric_limits<int64_t>::max());
  void train();
  void begin_steps();
  void take_initial_weights();
  void open_files(bool is_rollback = false);
  void complete_log();
  void find_budget();
  bool wants_stop_at(int64_t step) const;
  int64_t votes() const;
  int end_early();
  StopPlan plan_stop(bool by_signal);
  void log(const StepRecord& record);
  const std::vector<data::Microbatch>& next_batches();
  bool next_validation(data::Microbatch& batch);
  StepRecord step();
  void validate(StepRecord& record);
  void note(const StepRecord& record);
  void save(StepRecord& record);
  void begin_save();
  /// Of a checkpoint's tensors, all ranks together: each parameter and both its moments in fp32.
  int64_t saved_bytes() const;
  /// This rank's share of them.
  int64_t written_bytes() const;
  int64_t end_save(const checkpoint::SaveEnd& end);
  void report(const StepRecord& record, int64_t target_tokens);
  void report_messages();
  void say_who_is_slow(const BusyVerdict& verdict);
  void count(const StepRecord& record);
  void say_skipped(const StepRecord& record, const runtime::UpdateLimits& limits) const;
  bool is_stuck() const;
  void roll_back();
  void load_to_go_back(int64_t bad_steps, int64_t first);
  void check_end() const;
  void add_to_profile(const StepRecord& record);
  void print_profile() const;
  runtime::Trace* events() { return trace_ ? trace_->trace() : nullptr; }
  bool is_leader() const { return world_.rank() == 0; }
  bool due(int64_t every) const { return every > 0 && progress_.step % every == 0; }
  /// A run that ends among bad steps goes back first.
  bool has_more() const { return progress_.step < settings_.last_step || (is_last() && is_stuck()); }
  bool is_last() const { return progress_.step == settings_.last_step; }
  bool validates() const { return validation_ && !is_stuck() && (due(settings_.options.validate_every) || is_last()); }

  TrainingSettings settings_;
  runtime::Communicator& world_;
  runtime::Files& files_;
  std::span<const data::TokenDataset> training_;
  parallel::MeshGroups groups_;
  runtime::Memory memory_;
  runtime::Stream stream_;
  std::unique_ptr<model::Trainer> trainer_;
  RankSlices held_;                                   ///< of the trainer, parameters and moments
  std::vector<checkpoint::TensorSlice> written_;      ///< of those, what this rank saves
  std::optional<checkpoint::BackgroundSaver> saver_;  ///< made once nothing more is loaded: both take host memory
  std::optional<data::TrainingLoader> loader_;        ///< from progress_ on
  std::optional<data::ValidationLoader> validation_;
  Progress progress_;
  std::string run_id_;
  int64_t attempt_ = 0;          ///< the claimed number of this start
  std::vector<Change> changes_;  ///< since the checkpoint
  std::optional<RunDirectory> directory_;
  int64_t failed_saves_ = 0;
  int64_t saved_step_ = 0;               ///< the newest, of this start or the one that it went on from; 0: none
  int64_t begun_step_ = 0;               ///< the newest whose save this start has begun; 0: none
  bool is_stopping_ = false;             ///< agreed by all ranks: no step follows this one
  std::optional<TimeBudget> budget_;     ///< of the leader, where there is a limit
  int64_t lost_lines_ = 0;               ///< of log.jsonl
  std::optional<RunLog> log_;            ///< of the leader
  std::optional<ProgressLine> display_;  ///< of the leader
  std::optional<BusyWatch> busy_;        ///< of several ranks
  std::optional<StepTrace> trace_;       ///< with --trace
  StepProfile profile_;                  ///< of this rank's steps so far, with --profile
  runtime::TrainingMetrics metrics_;
};

}  // namespace trireme::launch
