#include "model/generation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/model/small_model.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

using model::SamplingOptions;
using runtime::DType;

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

/// A model that generates.
SmallModel generating(const model::ModelConfig& config, const model::Execution& execution = {}) {
  return SmallModel(config, model::plan_generation(config, on_device(execution)), solo_groups(),
                    model::Purpose::inference, execution);
}

/// Same sums in another order: fp32 leaves a few 1e-7 of each, which the layers after it blow up to some 4e-6. In bf16
/// a sum that falls near the middle between two numbers may be rounded the other way, by 2^-8 of itself.
double cache_tolerance(DType storage) {
  return storage == DType::bf16 ? 3e-2 : 2e-5;
}

void expect_cache_equals_full_forward(model::ModelConfig config, DType storage) {
  SCOPED_TRACE(config.family + " " + std::string(name(storage)));
  config.positions = 64;
  std::mt19937_64 random(2);  // fixed: fresh weights may bring two logits closer than rounding
  SmallModel full(config, {.storage = storage}, 1, config.positions);
  SmallModel cached = generating(config, {.storage = storage});
  std::mt19937_64 copy = random;
  full.randomize(random);
  cached.randomize(copy);
  model::Generator generator(*cached.trainer);
  std::vector<int32_t> tokens = {1, 5, 36, 0, 7};
  std::span<const float> logits = generator.feed(tokens);
  while (static_cast<int64_t>(tokens.size()) < config.positions) {
    const Vector all = full.logits(SmallBatch(tokens));
    const std::span<const double> expected = std::span(all).last(logits.size());
    ASSERT_LE(relative_error(logits, expected), cache_tolerance(storage)) << "after " << tokens.size() << " tokens";
    const int32_t next = most_likely(logits);
    if (storage == DType::fp32) {
      ASSERT_EQ(next, std::ranges::max_element(expected) - expected.begin());
    }
    tokens.push_back(next);
    logits = generator.feed(std::span(tokens).last(1));
  }
  EXPECT_EQ(generator.past(), config.positions);
}

TEST(Generation, GreedyWithCacheEqualsFullForward) {
  for (const model::ModelConfig& config : {small_gpt2(), small_llama(), small_llama_tied()}) {
    for (const DType storage : {DType::fp32, DType::bf16}) expect_cache_equals_full_forward(config, storage);
  }
}

TEST(Generation, PlannedBytesAreUsedBytes) {
  for (const model::ModelConfig& config : {small_gpt2(), small_llama()}) {
    for (const DType storage : {DType::fp32, DType::bf16}) {
      const model::Execution execution{.storage = storage};
      SmallModel small = generating(config, execution);
      model::Generator generator(*small.trainer);
      const std::vector<int32_t> tokens(static_cast<size_t>(config.positions), 3);
      generator.feed(tokens);
      EXPECT_EQ(small.memory.used(), model::plan_generation(config, on_device(execution)));
      generator.clear();
      for (int64_t i = 0; i < config.positions; ++i) generator.feed(std::span(tokens).first(1));  // needs no more
    }
  }
}

TEST(Generation, FeedingInPiecesEqualsFeedingAtOnce) {
  for (const model::ModelConfig& config : {small_gpt2(), small_llama()}) {
    std::mt19937_64 random(3);
    SmallModel small = generating(config);
    small.randomize(random);
    model::Generator generator(*small.trainer);
    const std::vector<int32_t> tokens = {1, 5, 36, 0, 7, 2, 9};
    const std::span<const float> at_once = generator.feed(tokens);
    const Vector expected(at_once.begin(), at_once.end());
    generator.clear();
    generator.feed(std::span(tokens).first(3));
    const std::span<const float> pieces = generator.feed(std::span(tokens).subspan(3));
    EXPECT_LE(relative_error(pieces, expected), cache_tolerance(DType::fp32)) << config.family;
  }
}

TEST(Sampling, TemperatureZeroTakesTheLargestAndTheSmallerIdOfEquals) {
  const std::vector<float> logits = {1, 4, 2, 4};
  EXPECT_EQ(model::sample(logits, {.temperature = 0}, 0), 1);
}

TEST(Sampling, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f};
  std::map<int32_t, double> counts;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) counts[model::sample(logits, {.temperature = 0.5, .seed = 11}, i)] += 1.0 / kDraws;
  const double sum = 1 + std::exp(2.0) + std::exp(4.0);
  // Four standard deviations of a frequency of at most 1/2 are 0.014.
  EXPECT_NEAR(counts[0], 1 / sum, 0.015);
  EXPECT_NEAR(counts[1], std::exp(2.0) / sum, 0.015);
  EXPECT_NEAR(counts[2], std::exp(4.0) / sum, 0.015);
}

TEST(Sampling, TopKAndTopPNarrowTheChoice) {
  const std::vector<float> logits = {3, 2, 1, 0};  // probabilities 0.64, 0.24, 0.09, 0.03
  std::map<int32_t, int> top_k;
  std::map<int32_t, int> top_p;
  for (int i = 0; i < 2000; ++i) {
    ++top_k[model::sample(logits, {.top_k = 2}, i)];
    ++top_p[model::sample(logits, {.top_p = 0.9}, i)];
  }
  EXPECT_EQ(top_k.size(), 2u);
  EXPECT_EQ(top_p.size(), 3u);
  EXPECT_EQ(top_p.count(3), 0u);
}

TEST(Sampling, IsAFunctionOfSeedAndIndex) {
  const std::vector<float> logits(100, 0.0f);
  EXPECT_EQ(model::sample(logits, {.seed = 1}, 5), model::sample(logits, {.seed = 1}, 5));
  int differences = 0;
  for (int i = 0; i < 20; ++i)
    differences += model::sample(logits, {.seed = 1}, i) != model::sample(logits, {.seed = 2}, i);
  EXPECT_GT(differences, 10);
}

}  // namespace
}  // namespace trireme::tests
