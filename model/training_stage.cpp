#include "model/training_stage.h"

#include <algorithm>
#include <utility>

#include "runtime/ops/elementwise.h"
#include "runtime/ops/exact_sum.h"

namespace trireme::model {

using runtime::View;

TrainingStage::TrainingStage(Trainer& trainer, std::span<const HostMicrobatch> microbatches,
                             const UpdateOptions& options, bool training)
    : trainer_(trainer),
      microbatches_(microbatches),
      context_(context_of(trainer, training ? options.dropout : 0, options.seed)),
      training_(training),
      input_passes_(trainer.chunks.size(), 0),
      weight_passes_(trainer.chunks.size(), 0) {
  parts_.reserve(6 * trainer.chunks.size() * microbatches.size());
}

View TrainingStage::forward(int chunk, int microbatch, View input) {
  begin_part();
  const StepPartScope part(observer(), {StepPart::Kind::forward, chunk, microbatch});
  runtime::SlotRing::Lease lease = trainer_.memory.slots[static_cast<size_t>(chunk)].acquire();
  InFlight& flight = find(chunk, -1);  // there are as many as slots
  flight.microbatch = microbatch;
  flight.slot.emplace(std::move(lease));
  runtime::Arena& slot = flight.slot->arena();
  const TokenViews tokens = upload_tokens(trainer_.stream, slot, microbatches_[static_cast<size_t>(microbatch)]);
  const TransformerChunk& own = trainer_.chunks[static_cast<size_t>(chunk)];
  View output;
  const auto run = [&] {
    output = transformer_forward(context_, own, trainer_.shards, tokens, input, flight.saved, slot);
  };
  if (!training_) {
    run();
    if (own.place.is_last) {
      head_loss(context_, own.weights.head, tokens, flight.saved.final_norm.y, totals());
      take_loss();
    }
    return output;
  }
  trainer_.recordings.forward.run(trainer_.stream, run);
  end_part(Part::forward);
  return output;
}

void TrainingStage::backward(int chunk, int microbatch, View d) {
  begin_part();
  const StepPartScope part(observer(), {StepPart::Kind::backward, chunk, microbatch});
  const auto index = static_cast<size_t>(chunk);
  const bool last = ++input_passes_[index] == microbatches_.size();
  const InFlight& flight = find(chunk, microbatch);
  trainer_.recordings.backward.run(trainer_.stream, [&] {
    transformer_backward(context_, trainer_.chunks[index], trainer_.shards, flight.saved, d, totals(), last);
    if (trainer_.chunks[index].place.is_last) take_loss();
  });
  end_part(Part::backward);
}

void TrainingStage::backward_input(int chunk, int microbatch, View d) {
  begin_part();
  const StepPartScope part(observer(), {StepPart::Kind::backward_input, chunk, microbatch});
  const auto index = static_cast<size_t>(chunk);
  const bool last = ++input_passes_[index] == microbatches_.size();
  InFlight& flight = find(chunk, microbatch);
  transformer_backward_input(context_, trainer_.chunks[index], trainer_.shards, flight.saved, d, totals(), last,
                             flight.slot->arena());
  if (trainer_.chunks[index].place.is_last) take_loss();
  end_part(Part::backward);
}

void TrainingStage::backward_weight(int chunk, int microbatch) {
  begin_part();
  const StepPartScope part(observer(), {StepPart::Kind::backward_weight, chunk, microbatch});
  const auto index = static_cast<size_t>(chunk);
  const bool last = ++weight_passes_[index] == microbatches_.size();
  transformer_backward_weight(context_, trainer_.chunks[index], trainer_.shards, find(chunk, microbatch).saved, last);
  end_part(Part::backward);
}

void TrainingStage::release(int chunk, int microbatch) {
  InFlight& flight = find(chunk, microbatch);
  flight.slot.reset();
  flight.microbatch = -1;
}

size_t TrainingStage::add_times(StepTimes& times) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const double seconds = trainer_.marks.seconds(i);
    switch (parts_[i]) {
      case Part::waiting:
        times.reduce_seconds += seconds;
        break;
      case Part::forward:
        times.forward_seconds += seconds;
        break;
      case Part::backward:
        times.backward_seconds += seconds;
        break;
    }
  }
  return parts_.size();
}

/// The loss of one sequence, whose tokens were added in order, joins the others' without rounding.
void TrainingStage::take_loss() {
  if (trainer_.exact_totals.both.absent()) return;
  const View loss = totals().rows(0, 1);
  runtime::add_exactly(trainer_.stream, loss, trainer_.exact_totals.loss);
  runtime::fill(trainer_.stream, loss, 0);
}

/// -1: a free one.
InFlight& TrainingStage::find(int chunk, int microbatch) {
  std::vector<InFlight>& of_chunk = trainer_.in_flight[static_cast<size_t>(chunk)];
  return *std::ranges::find(of_chunk, microbatch, &InFlight::microbatch);
}

/// In a pipeline what lies between two actions is waiting for messages.
void TrainingStage::begin_part() {
  if (training_ && trainer_.groups.mesh.pp > 1) end_part(Part::waiting);
}

void TrainingStage::end_part(Part part) {
  trainer_.marks.mark();
  parts_.push_back(part);
}

}  // namespace trireme::model
