// One of the two trainings that `verify` holds against each other: a layout's rank with its memory and its samples, as
// `train` has them, without a run.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/batch_loader.h"
#include "launch/training_settings.h"
#include "model/train_step.h"
#include "runtime/communicator.h"
#include "runtime/memory.h"

namespace trireme::launch {

class VerifySide {
 public:
  /// Takes all memory of the plan and begins with the initial weights of --seed. `ranks` are those of the layout,
  /// `world` those of the program, whose messages move on while this computes; without `data` tokens are random. All of
  /// them must outlive this. Collective over `ranks`.
  VerifySide(const TrainingSettings& settings, const runtime::MemoryPlan& plan, runtime::Communicator& ranks,
             runtime::Communicator& world, std::span<const data::TokenDataset> data);

  /// The next step; `at_gradients` is called when they are complete sums, before the update.
  model::StepResult step(const std::function<void()>& at_gradients);

  const TrainingSettings& settings() const { return settings_; }
  const model::UpdateOptions& last_update() const { return last_update_; }
  runtime::Stream& stream() { return stream_; }
  model::Trainer& trainer() { return *trainer_; }

 private:
  const std::vector<data::Microbatch>& next_batches();

  TrainingSettings settings_;
  parallel::MeshGroups groups_;
  runtime::Memory memory_;
  runtime::Stream stream_;
  std::unique_ptr<model::Trainer> trainer_;
  data::LoaderOptions order_;
  std::optional<data::TrainingLoader> loader_;  ///< with data
  std::vector<data::Microbatch> random_;        ///< without: those of the step
  int64_t steps_ = 0;
  model::UpdateOptions last_update_;
};

}  // namespace trireme::launch
