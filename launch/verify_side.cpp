#include "launch/verify_side.h"

#include "launch/microbatch.h"
#include "launch/random_tokens.h"

namespace trireme::launch {

VerifySide::VerifySide(const TrainingSettings& settings, const runtime::MemoryPlan& plan, runtime::Communicator& ranks,
                       runtime::Communicator& world, std::span<const data::TokenDataset> data)
    : settings_(settings),
      groups_(parallel::make_groups(settings.layout.mesh, ranks)),
      memory_(runtime::Memory::on(settings.execution.device, plan)),
      stream_(settings.execution.device),
      trainer_(model::make_trainer(settings.config, model::Purpose::training, settings.execution, stream_, memory_,
                                   groups_)),
      order_{.sequence_length = settings.sequence_length,
             .global_batch_size = settings.options.global_batch_size,
             .microbatch_size = settings.layout.microbatch_size,
             .rank = groups_.at.dp,
             .ranks = groups_.mesh.dp,
             .order = settings.order(),
             .document_mask = settings.options.document_mask} {
  stream_.on_dispatch([&world] { world.progress(); });  // also of a reference that is alone, for which others wait
  model::initialize(stream_, static_cast<uint64_t>(settings.options.seed), trainer_->units);
  trainer_->shards.parameters_changed();
  if (!data.empty()) loader_.emplace(data, order_);
}

const std::vector<data::Microbatch>& VerifySide::next_batches() {
  if (loader_) return loader_->next();
  return random_ = random_step(order_, settings_.config.vocabulary_size, steps_);
}

model::StepResult VerifySide::step(const std::function<void()>& at_gradients) {
  std::vector<model::HostMicrobatch> microbatches;
  for (const data::Microbatch& batch : next_batches()) {
    microbatches.push_back(host_microbatch(batch, settings_.sequence_length));
  }
  last_update_ = settings_.update(steps_, steps_ + 1);
  steps_ += 1;
  return model::train_step(*trainer_, microbatches, last_update_, [&at_gradients] {
    at_gradients();
    return int64_t{0};
  });
}

}  // namespace trireme::launch
