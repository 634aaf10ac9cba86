// The head over several chunks of tokens, which only a large vocabulary or many tokens need: loss and both gradients
// against closed formulas in float64.
#include "model/layers/head.h"

#include <cmath>

#include <gtest/gtest.h>

#include "runtime/ops/elementwise.h"
#include "tests/model/small_model.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

constexpr int64_t kB = 2;
constexpr int64_t kT = 350;
constexpr int64_t kN = kB * kT;

model::ModelConfig wide_vocabulary() {
  model::ModelConfig config = small_gpt2();
  config.layers = 1;
  config.heads = config.kv_heads = 1;
  config.width = config.head_width = 8;
  config.positions = kT;
  config.vocabulary_size = 50257;
  return config;
}

struct Expected {
  double loss = 0;
  Vector dy;
  Vector dtable;
};

/// logits = y table^T; loss = sum of log sum exp(logits) - logit(target); its gradients from p - onehot.
Expected cross_entropy(const Vector& y, const Vector& table, const std::vector<int32_t>& targets, size_t C) {
  Expected expected{.dy = Vector(y.size()), .dtable = Vector(table.size())};
  const size_t V = table.size() / C;
  Vector logits(V);
  for (size_t n = 0; n < targets.size(); ++n) {
    double sum = 0;
    for (size_t v = 0; v < V; ++v) {
      logits[v] = 0;
      for (size_t c = 0; c < C; ++c) logits[v] += y[n * C + c] * table[v * C + c];
      sum += std::exp(logits[v]);
    }
    const auto target = static_cast<size_t>(targets[n]);
    expected.loss += std::log(sum) - logits[target];
    for (size_t v = 0; v < V; ++v) {
      const double d = std::exp(logits[v]) / sum - (v == target ? 1 : 0);
      for (size_t c = 0; c < C; ++c) {
        expected.dy[n * C + c] += d * table[v * C + c];
        expected.dtable[v * C + c] += d * y[n * C + c];
      }
    }
  }
  return expected;
}

template <typename T>
void expect_chunks_add_up() {
  const model::ModelConfig config = wide_vocabulary();
  ASSERT_LT(model::head_chunk_tokens(kN, config.vocabulary_size, runtime::Device::cpu), kN);
  ASSERT_NE(kN % model::head_chunk_tokens(kN, config.vocabulary_size, runtime::Device::cpu), 0)
      << "the last chunk is to be a short one";
  Random random;
  SmallModel small(config, {.storage = runtime::dtype_of<T>}, kB, kT);
  small.randomize(random.engine());
  const SmallBatch batch(random.engine(), kB, kT, config.vocabulary_size);
  runtime::SlotRing::Lease slot = small.memory.slots[0].acquire();
  const model::TokenViews tokens = model::upload_tokens(small.stream, slot.arena(), batch.host());
  const Tensor<T> y = random.normals<T>({kN, config.width});
  Tensor<T> dy = poisoned<T>({kN, config.width});
  Tensor<T> input = y;
  model::Context context = model::context_of(*small.trainer);
  model::reset_loss(*small.trainer);
  const runtime::View totals = small.trainer->totals.rows(0, 2);
  head_loss_and_gradient(context, small.trainer->chunks[0].weights.head, small.trainer->chunks[0].gradients.head,
                         tokens, {.y = input.view()}, dy.view(), totals);

  const Expected expected = cross_entropy(to_double(y), small.values().at("embed_tokens.weight"), batch.targets,
                                          static_cast<size_t>(config.width));
  // Logits are rounded when they are stored; losses average that out over 700 tokens.
  EXPECT_NEAR(totals.as<double>()[0] / expected.loss, 1, kStorageTolerance<T> / 10);
  EXPECT_EQ(totals.as<double>()[1], kN);
  EXPECT_LE(relative_error(dy, expected.dy), kStorageTolerance<T>);
  const Vector dtable = small.values(&parallel::UnitMemory::gradients).at("embed_tokens.weight");
  const std::vector<float> actual(dtable.begin(), dtable.end());
  EXPECT_LE(relative_error(std::span<const float>(actual), expected.dtable), kStorageTolerance<T>);
}

TEST(Head, ChunksAddUpInFp32) {
  expect_chunks_add_up<float>();
}

TEST(Head, ChunksAddUpInBf16) {
  expect_chunks_add_up<runtime::bf16>();
}

TEST(Head, ChunksAreEqualAndHoldAllTokens) {
  EXPECT_EQ(model::head_chunk_tokens(1024, 50257, runtime::Device::cpu), 512);
  EXPECT_EQ(model::head_chunk_tokens(4096, 50257, runtime::Device::cpu), 592);  // 7 of at most 656
  EXPECT_EQ(model::head_chunk_tokens(5, 50257, runtime::Device::cpu), 5);
  EXPECT_EQ(model::head_chunk_tokens(4096, 257, runtime::Device::cpu), 4096);
  EXPECT_EQ(model::head_chunk_tokens(100, int64_t{1} << 24, runtime::Device::cpu), 16);  // never fewer
}

}  // namespace
}  // namespace trireme::tests
