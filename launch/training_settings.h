// What a training run resolved from options, data and model: the sizes of a step, the identity that a resume may not
// change, and the choices that it may. Turns them into the JSON of a checkpoint's state and back.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/retention.h"
#include "data/training_samples.h"
#include "launch/initial_weights.h"
#include "launch/layout.h"
#include "launch/options.h"
#include "model/config.h"
#include "model/execution.h"
#include "model/learning_rate.h"
#include "model/step_history.h"
#include "model/train_step.h"
#include "runtime/calibration.h"

namespace trireme::launch {

struct TrainingSettings {
  TrainOptions options;
  model::ModelConfig config;
  model::Execution execution;  ///< of --precision, --recompute, --device and the layout
  Layout layout;
  model::LearningRate learning_rate;
  int64_t sequence_length = 0;                      ///< T
  int64_t last_step = 0;                            ///< where this attempt stops: --stop-at-step or --steps
  boost::json::object tokenizer;                    ///< description
  boost::json::value data_digest;                   ///< of the training split; of several an array (data_sets.h)
  std::optional<runtime::Calibration> calibration;  ///< of --calibration
  std::optional<InitialWeights> initial_weights;    ///< of --init-from, in a new run
  boost::json::object planned_bytes;                ///< of all ranks, for config.json (memory_plans.h)

  int64_t tokens_per_step() const { return options.global_batch_size * sequence_length; }
  checkpoint::Retention retention() const { return {.keep_last = options.keep_last, .keep_every = options.keep_every}; }
  model::StepShape step_shape() const {
    return {.B = layout.microbatch_size,
            .T = sequence_length,
            .microbatches = layout.microbatches,
            .has_documents = options.document_mask};
  }
  data::OrderOptions order() const;
  model::UpdateOptions update(int64_t step, int64_t update_number) const;
};

/// Throws Error(usage) with both numbers when the model has fewer positions.
int64_t resolve_sequence_length(const TrainOptions& options, const model::ModelConfig& model);

/// What needs no data: sequence length, layout, execution, learning rate. `model` has a vocabulary. Throws Error(usage).
TrainingSettings resolve_without_data(const TrainOptions& options, const model::ModelConfig& model, int ranks);

/// Checks options, data and model against each other. Throws Error(usage) naming option, numbers and mend. `data`: the
/// training splits, of one tokenizer.
TrainingSettings resolve_settings(const TrainOptions& options, const model::ModelConfig& model,
                                  std::span<const data::TokenDataset> data, int ranks);

/// What has happened so far; saved with every checkpoint.
struct Progress {
  int64_t step = 0;
  int64_t samples = 0;           ///< consumed or left out: the data position
  int64_t samples_left_out = 0;  ///< of them, by rollbacks
  int64_t updates = 0;           ///< steps whose update was made
  int64_t skipped_steps = 0;     ///< the others: loss or gradient was not finite, or an outlier
  int64_t skipped_in_a_row = 0;  ///< the last so many steps
  int64_t trouble_step = 0;      ///< the latest step that ever began a row which led to a rollback
  int64_t rollbacks = 0;         ///< since then
  model::StepHistory history;    ///< with --skip-outliers, else empty

  int64_t samples_trained_on() const { return samples - samples_left_out; }
};

/// Options and data by name that a resume may not change, the same on all ranks: "seed", "data", ...
boost::json::object identity_json(const TrainingSettings& settings);

/// The state of a checkpoint.
boost::json::object state_json(const TrainingSettings& settings, const Progress& progress);
Progress progress_from(const boost::json::object& state, const std::string& source);

/// What evaluate, generate and a resume need of a saved state.
struct SavedRun {
  model::ModelConfig config;
  boost::json::object tokenizer;
  int64_t sequence_length = 0;
  std::string precision;  ///< as --precision takes it
  bool document_mask = false;
};
SavedRun saved_run(const boost::json::object& state, const std::string& source);

/// Throws Error(usage) naming the option and both values when the state belongs to another model, data set, sequence
/// length, seed or optimizer; returns a line for each allowed choice that changed ("--steps 100 -> 200"), the layout
/// among them.
std::vector<std::string> changes_since(const TrainingSettings& settings, const checkpoint::Manifest& saved);

}  // namespace trireme::launch
