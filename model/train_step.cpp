#include "model/train_step.h"

#include <array>
#include <cmath>

#include "runtime/error.h"
#include "runtime/ops/adamw.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/positions.h"
#include "runtime/ops/rope.h"

namespace trireme::model {

using runtime::Arena;
using runtime::DType;
using runtime::View;

namespace {

template <typename T>
View upload(runtime::Stream& stream, Arena& slot, const T* host, int64_t elements) {
  const View view = slot.allocate(runtime::dtype_of<T>, {elements});
  runtime::copy_from_host(stream, std::as_bytes(std::span(host, static_cast<size_t>(elements))), view);
  return view;
}

/// Sum over units, in order, of the squares of the reduced gradients; padding is zero.
void add_gradient_norm(Trainer& trainer) {
  for (const Unit& unit : trainer.units) {
    runtime::add_sum_of_squares(trainer.stream, unit.gradients, trainer.totals.rows(2, 1), trainer.memory.scratch);
  }
}

void update_parameters(Trainer& trainer, const UpdateOptions& options) {
  for (const Unit& unit : trainer.units) {
    runtime::adamw_update(trainer.stream,
                          {.beta1 = static_cast<float>(options.beta1),
                           .beta2 = static_cast<float>(options.beta2),
                           .epsilon = static_cast<float>(options.epsilon),
                           .weight_decay = static_cast<float>(options.weight_decay),
                           .undecayed = unit.undecayed},
                          {.parameter = unit.masters,
                           .gradient = unit.gradients,
                           .m = unit.exp_avg,
                           .v = unit.exp_avg_sq,
                           .compute = unit.has_own_masters() ? unit.parameters : View(),
                           .schedule = trainer.update_schedule});
  }
}

/// What the numbers of the step say to its caller; the update has gone by them already, on the device. The one place
/// where the host waits for a step; uploads keep it a microbatch or two ahead at most.
void read_result(Trainer& trainer, StepResult& result) {
  double totals[3];
  runtime::read_scalars(trainer.stream, trainer.totals, totals);
  const auto [loss_sum, target_count, sum_of_squares] = totals;
  result.loss = loss_sum / target_count;
  result.target_tokens = static_cast<int64_t>(target_count);
  result.grad_norm = std::sqrt(sum_of_squares) / target_count;
  result.updated = std::isfinite(result.loss) && std::isfinite(result.grad_norm);
}

/// Marks of a step: one at its start, one behind each forward and each backward, one behind the reduction and one at
/// the end.
StepTimes times_of(const runtime::TimeMarks& marks, size_t microbatches) {
  StepTimes times;
  for (size_t i = 0; i < microbatches; ++i) {
    times.forward_seconds += marks.seconds(2 * i);
    times.backward_seconds += marks.seconds(2 * i + 1);
  }
  times.reduce_seconds = marks.seconds(2 * microbatches);
  times.update_seconds = marks.seconds(2 * microbatches + 1);
  return times;
}

/// Work that was recorded for other sizes or constants is of no use.
void forget_other_recordings(Trainer& trainer, const HostMicrobatch& microbatch, UpdateOptions options) {
  options.learning_rate = 0;
  options.update = 0;
  StepRecordings& recordings = trainer.recordings;
  if (recordings.B == microbatch.B && recordings.T == microbatch.T && recordings.options == options) return;
  recordings = {.B = microbatch.B, .T = microbatch.T, .options = options};
}

/// Forward and backward of one microbatch. `last`: its gradients complete those of the step.
void run_microbatch(Trainer& trainer, const HostMicrobatch& microbatch, const UpdateOptions& options, bool last) {
  Context context = context_of(trainer, options.dropout, options.seed);
  runtime::SlotRing::Lease slot = trainer.memory.slots.acquire();
  const TokenViews tokens = upload_tokens(trainer.stream, slot.arena(), microbatch);
  trainer.recordings.forward.run(
      trainer.stream, [&] { transformer_forward(context, trainer.weights, tokens, trainer.saved, slot.arena()); });
  trainer.marks.mark();
  trainer.recordings.backward.run(trainer.stream, [&] {
    transformer_backward(context, trainer.weights, trainer.gradients, trainer.saved, trainer.totals.rows(0, 2),
                         [&](size_t unit) {
                           if (last) trainer.reduction.start(trainer.units[unit].gradients);
                         });
  });
  trainer.marks.mark();
}

}  // namespace

Context context_of(Trainer& trainer, double dropout, uint64_t seed) {
  return {.config = trainer.config,
          .stream = trainer.stream,
          .scratch = trainer.memory.scratch,
          .tp = *trainer.groups.tp,
          .rope_table = trainer.rope_table,
          .recompute = trainer.execution.recompute,
          .dropout = static_cast<float>(dropout),
          .seed = seed};
}

TokenViews upload_tokens(runtime::Stream& stream, Arena& slot, const HostMicrobatch& batch) {
  const int64_t N = batch.B * batch.T;
  TokenViews views{.B = batch.B, .T = batch.T};
  views.tokens = upload(stream, slot, batch.tokens, N);
  views.targets = upload(stream, slot, batch.targets, N);
  views.samples = upload(stream, slot, batch.samples, batch.B);
  views.positions = slot.allocate(DType::i32, {N});
  runtime::fill_positions(stream, 0, batch.T, views.positions);
  return views;
}

std::unique_ptr<Trainer> make_trainer(const ModelConfig& config, Purpose purpose, const Execution& execution,
                                      runtime::Stream& stream, runtime::Memory& memory, parallel::MeshGroups& groups) {
  if (stream.device() == runtime::Device::cuda && groups.dp->size() > 1) {
    // Reductions start inside the backward action, which is recorded: they would not be repeated.
    throw runtime::Error(runtime::ErrorKind::internal, "several ranks cannot train on GPUs yet");
  }
  std::vector<Unit> units = make_units(config, groups.dp->size(), purpose, execution, memory.persistent);
  TransformerWeights weights = bind_weights(config, units, &Unit::parameters);
  TransformerWeights gradients =
      purpose == Purpose::training ? bind_weights(config, units, &Unit::gradients) : TransformerWeights();
  const auto unit_count = static_cast<int64_t>(units.size());
  View rope_table;
  if (config.position == PositionKind::rope) {
    rope_table = memory.persistent.allocate(DType::fp32, {config.positions, config.head_width});
    runtime::fill_rope_table(stream, config.rope_theta, rope_table);
  }
  const View update_schedule = purpose == Purpose::training ? memory.persistent.allocate(DType::fp32, {4}) : View();
  stream.on_dispatch([dp = groups.dp.get()] { dp->progress(); });
  auto trainer = std::unique_ptr<Trainer>(new Trainer{.config = config,
                                                      .execution = execution,
                                                      .stream = stream,
                                                      .memory = memory,
                                                      .groups = groups,
                                                      .units = std::move(units),
                                                      .rope_table = rope_table,
                                                      .weights = std::move(weights),
                                                      .gradients = std::move(gradients),
                                                      .totals = memory.persistent.allocate(DType::fp64, {3}),
                                                      .update_schedule = update_schedule,
                                                      .saved = {},
                                                      .reduction = {*groups.dp, unit_count},
                                                      .recordings = {},
                                                      .marks = runtime::TimeMarks(stream)});
  clear(stream, trainer->units);
  trainer->saved.blocks.reserve(trainer->weights.blocks.size());
  return trainer;
}

StepResult train_step(Trainer& trainer, std::span<const HostMicrobatch> microbatches, const UpdateOptions& options) {
  StepResult result;
  runtime::Stream& stream = trainer.stream;
  trainer.marks.clear();
  trainer.marks.mark();
  const std::array<float, 3> schedule =
      runtime::adamw_schedule(options.learning_rate, options.beta1, options.beta2, options.update);
  runtime::copy_from_host(stream, std::as_bytes(std::span(schedule)), trainer.update_schedule.rows(0, 3));
  runtime::fill(stream, trainer.totals, 0);
  forget_other_recordings(trainer, microbatches.front(), options);
  for (const HostMicrobatch& microbatch : microbatches) {
    run_microbatch(trainer, microbatch, options, &microbatch == &microbatches.back());
  }
  runtime::Pending sums = trainer.groups.dp->all_reduce(trainer.totals.rows(0, 2), runtime::ReduceOp::sum);
  trainer.reduction.finish();
  sums.wait();
  trainer.marks.mark();
  trainer.recordings.update.run(stream, [&] {
    add_gradient_norm(trainer);
    runtime::update_scale(stream, options.clip_grad_norm, trainer.totals, trainer.update_schedule.rows(3, 1));
    update_parameters(trainer, options);
  });
  trainer.marks.mark();
  read_result(trainer, result);
  result.times = times_of(trainer.marks, microbatches.size());
  return result;
}

void reset_loss(Trainer& trainer) {
  runtime::fill(trainer.stream, trainer.totals, 0);
}

void add_loss(Trainer& trainer, const HostMicrobatch& microbatch) {
  Context context = context_of(trainer);
  runtime::SlotRing::Lease slot = trainer.memory.slots.acquire();
  const TokenViews tokens = upload_tokens(trainer.stream, slot.arena(), microbatch);
  transformer_forward(context, trainer.weights, tokens, trainer.saved, slot.arena());
  head_loss(context, trainer.weights.head, tokens, trainer.saved.final_norm.y, trainer.totals.rows(0, 2));
}

MeanLoss mean_loss(Trainer& trainer) {
  trainer.groups.dp->all_reduce(trainer.totals.rows(0, 2), runtime::ReduceOp::sum).wait();
  double totals[2];
  runtime::read_scalars(trainer.stream, trainer.totals.rows(0, 2), totals);
  return {.loss = totals[0] / totals[1], .target_tokens = static_cast<int64_t>(totals[1])};
}

runtime::MemoryPlan plan_training(const ModelConfig& config, const Execution& execution, int64_t B, int64_t T,
                                  const UpdateOptions& options, int dp) {
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  runtime::Memory memory = runtime::Memory::dry(1);
  parallel::MeshGroups groups = parallel::dry_groups({.dp = dp});
  const auto trainer = make_trainer(config, Purpose::training, execution, stream, memory, groups);
  const HostMicrobatch microbatch{.B = B, .T = T};
  train_step(*trainer, std::span(&microbatch, 1), options);
  add_loss(*trainer, microbatch);
  return memory.used();
}

runtime::MemoryPlan plan_evaluation(const ModelConfig& config, const Execution& execution, int64_t B, int64_t T,
                                    int dp) {
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  runtime::Memory memory = runtime::Memory::dry(1);
  parallel::MeshGroups groups = parallel::dry_groups({.dp = dp});
  const auto trainer = make_trainer(config, Purpose::inference, execution, stream, memory, groups);
  add_loss(*trainer, {.B = B, .T = T});
  return memory.used();
}

}  // namespace trireme::model
