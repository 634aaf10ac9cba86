// The outer loop of `train`: data, train_step, log, validation, checkpoints. One step fits on a screen (run()). It owns
// the run's memory, progress and files; the mathematics is model::train_step's.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/background_saver.h"
#include "checkpoint/tensor_slice.h"
#include "data/batch_loader.h"
#include "launch/checkpoint_slices.h"
#include "launch/profile_table.h"
#include "launch/progress_line.h"
#include "launch/run_directory.h"
#include "launch/step_record.h"
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
  /// Error(peer) at the next save or line of the log once a newer one is. Collective.
  void run(int64_t attempt);

 private:
  bool start_or_resume();
  bool resume();
  void take_initial_weights();
  void open_files();
  void complete_log();
  void log(const StepRecord& record);
  StepRecord step(data::TrainingLoader& loader);
  void validate(StepRecord& record);
  void save(StepRecord& record);
  int64_t end_save(const checkpoint::SaveEnd& end);
  void report(const StepRecord& record, const model::StepResult& result);
  void report_messages();
  void add_to_profile(const StepRecord& record);
  void print_profile() const;
  bool is_leader() const { return world_.rank() == 0; }
  bool due(int64_t every) const { return every > 0 && progress_.step % every == 0; }
  bool is_last() const { return progress_.step == settings_.last_step; }

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
  std::optional<data::ValidationLoader> validation_;
  Progress progress_;
  std::string run_id_;
  int64_t attempt_ = 0;               ///< the claimed number of this start
  std::vector<std::string> changes_;  ///< of allowed choices since the checkpoint, a line each
  std::optional<RunDirectory> directory_;
  int64_t skipped_in_a_row_ = 0;
  int64_t failed_saves_ = 0;
  int64_t lost_lines_ = 0;               ///< of log.jsonl
  std::optional<RunLog> log_;            ///< of the leader
  std::optional<ProgressLine> display_;  ///< of the leader
  StepProfile profile_;                  ///< of this rank's steps so far, with --profile
  runtime::TrainingMetrics metrics_;
};

}  // namespace trireme::launch
