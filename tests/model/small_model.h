// A small model of either family with everything a test of `model` needs around it: memory by plan, units, random
// parameters (all of them, so that biases and norms are not at special values), random tokens.
#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/train_step.h"
#include "parallel/mesh.h"
#include "runtime/memory.h"
#include "runtime/ops/elementwise.h"
#include "tests/reference/device.h"
#include "tests/reference/transformer.h"

namespace trireme::tests {

/// Odd sizes on purpose: nothing is a multiple of a vector.
inline model::ModelConfig small_gpt2() {
  model::ModelConfig config;
  config.layers = 2;
  config.heads = config.kv_heads = 3;
  config.width = 21;
  config.head_width = 7;
  config.feed_forward_width = 50;
  config.positions = 12;
  config.vocabulary_size = 37;
  return config;
}

/// Two query heads for each key/value head, and heads that together are wider than the model.
inline model::ModelConfig small_llama() {
  model::ModelConfig config = small_gpt2();
  config.family = "llama";
  config.heads = 4;
  config.kv_heads = 2;
  config.head_width = 6;
  config.feed_forward_width = 34;
  config.norm = model::NormKind::rms_norm;
  config.position = model::PositionKind::rope;
  config.activation = model::ActivationKind::swiglu;
  config.attention_bias = config.feed_forward_bias = false;
  config.rope_theta = 50;  // so that the slowest channels turn, too, within 12 positions
  config.norm_epsilon = 1e-6;
  config.tied_embeddings = false;
  return config;
}

/// All query heads share one key/value head; tied, as the smallest Llamas are.
inline model::ModelConfig small_llama_tied() {
  model::ModelConfig config = small_llama();
  config.kv_heads = 1;
  config.tied_embeddings = true;
  return config;
}

struct SmallBatch {
  int64_t B;
  int64_t T;
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<int64_t> samples;
  std::vector<int32_t> positions{};  ///< with cut_documents()
  std::vector<int32_t> first_keys{};

  SmallBatch(std::mt19937_64& random, int64_t B_, int64_t T_, int64_t V) : B(B_), T(T_) {
    for (int64_t i = 0; i < B * T; ++i) tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(V)));
    for (int64_t i = 0; i < B * T; ++i) targets.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(V)));
    for (int64_t b = 0; b < B; ++b) samples.push_back(b);
  }
  /// One sequence; its targets are its tokens.
  explicit SmallBatch(const std::vector<int32_t>& tokens_)
      : B(1), T(static_cast<int64_t>(tokens_.size())), tokens(tokens_), targets(tokens_), samples{0} {}
  /// Documents end at random places, after four tokens on average; what follows an end is no target.
  void cut_documents(std::mt19937_64& random) {
    positions.resize(tokens.size());
    first_keys.resize(tokens.size());
    for (int64_t i = 0, begin = 0; i < B * T; ++i) {
      if (i % T == 0) begin = 0;
      first_keys[static_cast<size_t>(i)] = static_cast<int32_t>(begin);
      positions[static_cast<size_t>(i)] = static_cast<int32_t>(i % T - begin);
      if (random() % 4 != 0) continue;
      targets[static_cast<size_t>(i)] = -1;
      begin = i % T + 1;
    }
  }
  /// The sequences [begin, begin + count).
  model::HostMicrobatch part(int64_t begin, int64_t count) const {
    const bool has_documents = !first_keys.empty();
    return {.B = count,
            .T = T,
            .tokens = tokens.data() + begin * T,
            .targets = targets.data() + begin * T,
            .samples = samples.data() + begin,
            .has_documents = has_documents,
            .positions = has_documents ? positions.data() + begin * T : nullptr,
            .first_keys = has_documents ? first_keys.data() + begin * T : nullptr};
  }
  model::HostMicrobatch host() const { return part(0, B); }
};

inline parallel::MeshGroups solo_groups() {
  return parallel::dry_groups({});  // groups of one are real ones
}

/// On the device under test.
inline model::Execution on_device(model::Execution execution = {}) {
  execution.device = device();
  return execution;
}

/// What a view of T on the device of `stream` holds.
template <typename T>
std::vector<T> read_values(runtime::Stream& stream, const runtime::View& view) {
  std::vector<T> values(static_cast<size_t>(view.elements()));
  runtime::copy_to_host(stream, view, std::as_writable_bytes(std::span(values)));
  return values;
}

template <typename T>
void write_values(runtime::Stream& stream, const std::vector<T>& values, const runtime::View& view) {
  runtime::copy_from_host(stream, std::as_bytes(std::span(values)), view);
}

/// The values of a view of fp64, fp32 or bf16.
inline Vector doubles(runtime::Stream& stream, const runtime::View& view) {
  const auto widened = [](const auto& values) { return Vector(values.begin(), values.end()); };
  switch (view.dtype) {
    case runtime::DType::fp64:
      return read_values<double>(stream, view);
    case runtime::DType::bf16:
      return widened(read_values<runtime::bf16>(stream, view));
    default:
      return widened(read_values<float>(stream, view));
  }
}

struct SmallModel {
  mutable runtime::Stream stream{device()};
  runtime::Memory memory;
  parallel::MeshGroups groups;
  std::unique_ptr<model::Trainer> trainer;
  model::TransformerSaved saved{};  ///< of accumulate_gradients() and logits()

  SmallModel(const model::ModelConfig& config, const runtime::MemoryPlan& plan, parallel::MeshGroups groups_,
             model::Purpose purpose = model::Purpose::training, const model::Execution& execution = {})
      : memory(runtime::Memory::on(device(), plan)), groups(std::move(groups_)) {
    trainer = model::make_trainer(config, purpose, on_device(execution), stream, memory, groups);
    model::initialize(stream, 1, trainer->units);
    trainer->shards.parameters_changed();
  }

  /// To train on microbatches of B sequences of T tokens, alone.
  SmallModel(const model::ModelConfig& config, const model::Execution& execution, int64_t B, int64_t T,
             const model::UpdateOptions& options = {})
      : SmallModel(config, model::plan_training(config, on_device(execution), {}, {.B = B, .T = T}, options),
                   solo_groups(), model::Purpose::training, execution) {}

  /// Every parameter N(0, deviation), norms around 1; rounded to bf16, so that a model computes with the same weights
  /// in either storage.
  void randomize(std::mt19937_64& random, float deviation = 0.3f) {
    std::normal_distribution<float> normal(0, deviation);
    for (model::Unit& unit : trainer->units) {
      for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
        const runtime::View view = unit.part(unit.memory.masters, i);
        const auto constant = static_cast<float>(unit.definition.parameters[i].constant);
        std::vector<float> values(static_cast<size_t>(view.elements()));
        for (float& value : values) value = runtime::bf16(constant + normal(random));
        write_values(stream, values, view);
      }
    }
    model::round_masters(stream, trainer->units);
  }

  /// By name, as doubles: the masters, what layers read (&parallel::UnitMemory::parameters) or gradients.
  Parameters values(runtime::View parallel::UnitMemory::*range = &parallel::UnitMemory::masters) const {
    Parameters result;
    for (const model::Unit& unit : trainer->units) {
      for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
        result[unit.layout.parameters[i].spec.name] = doubles(stream, unit.part(unit.memory.*range, i));
      }
    }
    return result;
  }

  /// Forward and backward of one microbatch without the update: adds to the gradients; returns loss sum and target
  /// count.
  std::array<double, 2> accumulate_gradients(const SmallBatch& batch, const model::UpdateOptions& options = {}) {
    model::Context context = model::context_of(*trainer, options.dropout, options.seed);
    runtime::SlotRing::Lease slot = memory.slots[0].acquire();
    const model::TokenViews tokens = model::upload_tokens(stream, slot.arena(), batch.host());
    const int64_t C = trainer->config.width;
    runtime::Arena arena = runtime::Arena::on(device(), "gradient", 4 * (batch.B * batch.T * C + 64));
    const runtime::View d = arena.allocate(trainer->execution.storage, {batch.B * batch.T, C});
    model::reset_loss(*trainer);
    model::transformer_forward(context, trainer->chunks[0], trainer->shards, tokens, {}, saved, slot.arena());
    model::transformer_backward(context, trainer->chunks[0], trainer->shards, saved, d, trainer->totals.rows(0, 2),
                                true);
    std::array<double, 2> totals{};
    runtime::read_scalars(stream, trainer->totals.rows(0, 2), totals);
    return totals;
  }

  /// Logits (N, V) by the forward of training.
  Vector logits(const SmallBatch& batch) {
    model::Context context = model::context_of(*trainer);
    runtime::SlotRing::Lease slot = memory.slots[0].acquire();
    const model::TokenViews tokens = model::upload_tokens(stream, slot.arena(), batch.host());
    model::transformer_forward(context, trainer->chunks[0], trainer->shards, tokens, {}, saved, slot.arena());
    const runtime::View y = saved.final_norm.y;
    runtime::Arena arena = runtime::Arena::on(device(), "logits", 1 << 20);
    const int64_t V = trainer->config.vocabulary_size;
    const int64_t rows = trainer->chunks[0].weights.head.table.shape[0];
    const runtime::View result = arena.allocate(y.dtype, {y.shape[0], rows});
    model::head_logits(context, trainer->chunks[0].weights.head, y, result);
    Vector all = doubles(stream, result);
    Vector logits;
    for (auto row = all.begin(); row != all.end(); row += rows) logits.insert(logits.end(), row, row + V);
    return logits;
  }
};

}  // namespace trireme::tests
