#include "model/random_batch.h"

#include <random>

namespace trireme::model {

RandomBatch::RandomBatch(uint64_t seed, int64_t B, int64_t T, int64_t V)
    : tokens(static_cast<size_t>(B * T)), targets(tokens.size()), samples(static_cast<size_t>(B)) {
  std::mt19937_64 engine(seed);
  std::uniform_int_distribution<int32_t> token(0, static_cast<int32_t>(V - 1));
  for (int32_t& value : tokens) value = token(engine);
  for (int32_t& value : targets) value = token(engine);
  for (size_t b = 0; b < samples.size(); ++b) samples[b] = static_cast<int64_t>(b);
  view = {.B = B, .T = T, .tokens = tokens.data(), .targets = targets.data(), .samples = samples.data()};
}

}  // namespace trireme::model
