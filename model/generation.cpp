#include "model/generation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/error.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/positions.h"
#include "runtime/philox.h"

namespace trireme::model {

using runtime::DType;
using runtime::View;

Generator::Generator(Trainer& trainer)
    : trainer_(trainer), logits_(static_cast<size_t>(trainer.chunks.front().weights.head.table.shape[0])) {
  const ModelConfig& config = trainer.config;
  const runtime::Shape shape{1, config.positions, config.kv_heads, config.head_width};
  const DType storage = trainer.execution.storage;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    runtime::Arena& persistent = trainer.memory.persistent;
    caches_.push_back({.keys = persistent.allocate(storage, shape), .values = persistent.allocate(storage, shape)});
  }
}

std::span<const float> Generator::feed(std::span<const int32_t> tokens) {
  const auto T = static_cast<int64_t>(tokens.size());
  if (T == 0 || past_ + T > positions()) {
    throw runtime::Error(runtime::ErrorKind::internal, "cannot feed " + std::to_string(T) + " tokens after " +
                                                           std::to_string(past_) + " of " +
                                                           std::to_string(positions()));
  }
  runtime::Stream& stream = trainer_.stream;
  runtime::SlotRing::Lease slot = trainer_.memory.slots[0].acquire();
  CachedTokens input{.tokens = {.B = 1, .T = T}, .past = past_};
  input.tokens.tokens = slot.arena().allocate(DType::i32, {T});
  input.tokens.positions = slot.arena().allocate(DType::i32, {T});
  runtime::copy_from_host(stream, std::as_bytes(tokens), input.tokens.tokens);
  runtime::fill_positions(stream, past_, T, input.tokens.positions);
  Context context = context_of(trainer_);
  const View y = transformer_cached(context, trainer_.chunks.front().weights, input, caches_, slot.arena());
  const runtime::Shape shape{1, trainer_.chunks.front().weights.head.table.shape[0]};
  const View stored = slot.arena().allocate(y.dtype, shape);
  const View logits = slot.arena().allocate(DType::fp32, shape);
  head_logits(context, trainer_.chunks.front().weights.head, y.rows(T - 1, 1), stored);
  runtime::cast(stream, stored, logits);
  runtime::copy_to_host(stream, logits, std::as_writable_bytes(std::span(logits_)));
  past_ += T;
  return std::span<const float>(logits_).first(static_cast<size_t>(trainer_.config.vocabulary_size));
}

int32_t sample(std::span<const float> logits, const SamplingOptions& options, int64_t index) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto more_likely = [&](int32_t a, int32_t b) {
    const float la = logits[static_cast<size_t>(a)];
    const float lb = logits[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  };
  if (options.temperature == 0) return *std::ranges::min_element(order, more_likely);
  std::ranges::sort(order, more_likely);
  if (options.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(options.top_k)));
  std::vector<double> weights;  // cumulative, unnormalised
  double sum = 0;
  for (int32_t token : order) {
    const double scaled =
        (logits[static_cast<size_t>(token)] - logits[static_cast<size_t>(order[0])]) / options.temperature;
    weights.push_back(sum += std::exp(scaled));
  }
  const auto kept = std::ranges::lower_bound(weights, options.top_p * sum);  // the fewest that reach p
  const size_t count = std::min(weights.size(), static_cast<size_t>(kept - weights.begin()) + 1);
  const runtime::PhiloxCounter bits = runtime::philox(
      {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 0}, runtime::philox_key(options.seed));
  const double target = runtime::unit_float(bits[0]) * weights[count - 1];
  const auto drawn =
      std::upper_bound(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(count - 1), target);
  return order[static_cast<size_t>(drawn - weights.begin())];
}

runtime::MemoryPlan plan_generation(const ModelConfig& config, const Execution& execution) {
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  runtime::Memory memory = runtime::Memory::dry();
  parallel::MeshGroups groups = parallel::dry_groups({});
  const auto trainer = make_trainer(config, Purpose::inference, execution, stream, memory, groups);
  Generator generator(*trainer);
  generator.feed(std::vector<int32_t>(static_cast<size_t>(config.positions)));
  return memory.used();
}

}  // namespace trireme::model
