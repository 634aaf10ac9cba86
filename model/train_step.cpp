#include "model/train_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/ops/adamw.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/positions.h"
#include "runtime/ops/rope.h"
#include "runtime/stopwatch.h"

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
    runtime::add_sum_of_squares(trainer.stream, unit.gradients, trainer.totals.rows(2, 1));
  }
}

void update_parameters(Trainer& trainer, const UpdateOptions& options, double gradient_scale) {
  for (const Unit& unit : trainer.units) {
    for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
      const runtime::AdamWStep step{
          .learning_rate = static_cast<float>(options.learning_rate),
          .beta1 = static_cast<float>(options.beta1),
          .beta2 = static_cast<float>(options.beta2),
          .epsilon = static_cast<float>(options.epsilon),
          .weight_decay = unit.definition.parameters[i].decays ? static_cast<float>(options.weight_decay) : 0.0f,
          .gradient_scale = static_cast<float>(gradient_scale),
          .update = options.update};
      const runtime::Shape flat{unit.layout.parameters[i].spec.box.elements()};
      runtime::adamw_update(
          trainer.stream, step,
          {.parameter = unit.part(unit.masters, i).reshaped(flat),
           .gradient = unit.part(unit.gradients, i).reshaped(flat),
           .m = unit.part(unit.exp_avg, i).reshaped(flat),
           .v = unit.part(unit.exp_avg_sq, i).reshaped(flat),
           .compute = unit.has_own_masters() ? unit.part(unit.parameters, i).reshaped(flat) : View()});
    }
  }
}

/// The one place where a step looks at its data: norm and loss decide about clipping and about skipping the update.
void finish_step(Trainer& trainer, const UpdateOptions& options, StepResult& result) {
  add_gradient_norm(trainer);
  double totals[3];
  runtime::read_scalars(trainer.stream, trainer.totals, totals);
  const auto [loss_sum, target_count, sum_of_squares] = totals;
  result.loss = loss_sum / target_count;
  result.target_tokens = static_cast<int64_t>(target_count);
  result.grad_norm = std::sqrt(sum_of_squares) / target_count;
  result.updated = std::isfinite(result.loss) && std::isfinite(result.grad_norm);
  if (!result.updated) {
    for (const Unit& unit : trainer.units) runtime::fill(trainer.stream, unit.gradients, 0);
    return;
  }
  // PyTorch's clip_grad_norm_: the factor is clip / (norm + 1e-6), at most 1.
  const double clip_factor =
      options.clip_grad_norm == 0 ? 1 : std::min(1.0, options.clip_grad_norm / (result.grad_norm + 1e-6));
  update_parameters(trainer, options, clip_factor / target_count);
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
  std::vector<Unit> units = make_units(config, groups.dp->size(), purpose, execution.storage, memory.persistent);
  TransformerWeights weights = bind_weights(config, units, &Unit::parameters);
  TransformerWeights gradients =
      purpose == Purpose::training ? bind_weights(config, units, &Unit::gradients) : TransformerWeights();
  const auto unit_count = static_cast<int64_t>(units.size());
  View rope_table;
  if (config.position == PositionKind::rope) {
    rope_table = memory.persistent.allocate(DType::fp32, {config.positions, config.head_width});
    runtime::fill_rope_table(stream, config.rope_theta, rope_table);
  }
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
                                                      .saved = {},
                                                      .reduction = {*groups.dp, unit_count}});
  clear(stream, trainer->units);
  trainer->saved.blocks.reserve(trainer->weights.blocks.size());
  return trainer;
}

StepResult train_step(Trainer& trainer, std::span<const HostMicrobatch> microbatches, const UpdateOptions& options) {
  StepResult result;
  runtime::Stopwatch watch;
  Context context = context_of(trainer, options.dropout, options.seed);
  runtime::fill(trainer.stream, trainer.totals, 0);
  for (const HostMicrobatch& microbatch : microbatches) {
    runtime::SlotRing::Lease slot = trainer.memory.slots.acquire();
    const TokenViews tokens = upload_tokens(trainer.stream, slot.arena(), microbatch);
    transformer_forward(context, trainer.weights, tokens, trainer.saved, slot.arena());
    result.times.forward_seconds += watch.lap();
    const bool last = &microbatch == &microbatches.back();
    transformer_backward(context, trainer.weights, trainer.gradients, trainer.saved, trainer.totals.rows(0, 2),
                         [&](size_t unit) {
                           if (last) trainer.reduction.start(trainer.units[unit].gradients);
                         });
    result.times.backward_seconds += watch.lap();
  }
  runtime::Pending sums = trainer.groups.dp->all_reduce(trainer.totals.rows(0, 2), runtime::ReduceOp::sum);
  trainer.reduction.finish();
  sums.wait();
  result.times.reduce_seconds = watch.lap();
  finish_step(trainer, options, result);
  result.times.update_seconds = watch.lap();
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
  runtime::Stream stream(runtime::Device::dry);
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
  runtime::Stream stream(runtime::Device::dry);
  runtime::Memory memory = runtime::Memory::dry(1);
  parallel::MeshGroups groups = parallel::dry_groups({.dp = dp});
  const auto trainer = make_trainer(config, Purpose::inference, execution, stream, memory, groups);
  add_loss(*trainer, {.B = B, .T = T});
  return memory.used();
}

}  // namespace trireme::model
