#include "launch/random_tokens.h"

#include "runtime/philox.h"

namespace trireme::launch {
namespace {

int32_t random_token(uint64_t seed, int64_t sample, int64_t position, int64_t vocabulary_size) {
  constexpr uint32_t kTokens = 0x746f6b65;  // "toke": apart from the counters of dropout and of weights
  const auto bits = static_cast<uint64_t>(sample);
  const runtime::PhiloxCounter random = runtime::philox(
      {static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32), static_cast<uint32_t>(position), kTokens},
      runtime::philox_key(seed));
  return static_cast<int32_t>(static_cast<int64_t>(random[0]) % vocabulary_size);
}

}  // namespace

std::vector<data::Microbatch> random_step(const data::LoaderOptions& options, int64_t vocabulary_size, int64_t step) {
  const int64_t T = options.sequence_length;
  const int64_t share = options.global_batch_size / options.ranks;
  const int64_t first = options.first_sample + step * options.global_batch_size + options.rank * share;
  std::vector<data::Microbatch> microbatches(static_cast<size_t>(share / options.microbatch_size));
  int64_t sample = first;
  for (data::Microbatch& microbatch : microbatches) {
    for (int64_t row = 0; row < options.microbatch_size; ++row, ++sample) {
      microbatch.samples.push_back(sample);
      for (int64_t t = 0; t < T; ++t) {
        microbatch.tokens.push_back(random_token(options.order.seed, sample, t, vocabulary_size));
        microbatch.targets.push_back(random_token(options.order.seed, sample, t + 1, vocabulary_size));
      }
    }
  }
  return microbatches;
}

}  // namespace trireme::launch
