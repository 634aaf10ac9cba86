#include "model/generation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/model/small_model.h"

namespace trireme::tests {
namespace {

using model::SamplingOptions;

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

/// Logits after the last token by the training forward, without a cache.
std::vector<float> full_forward_logits(SmallModel& small, const std::vector<int32_t>& tokens) {
  const auto T = static_cast<int64_t>(tokens.size());
  const int64_t V = small.trainer->config.vocabulary_size;
  const std::vector<int64_t> samples = {0};
  model::Context context{
      .config = small.trainer->config, .stream = small.stream, .scratch = small.memory.scratch, .tp = *small.groups.tp};
  runtime::SlotRing::Lease slot = small.memory.slots.acquire();
  const model::TokenViews views = model::upload_tokens(
      small.stream, slot.arena(),
      {.B = 1, .T = T, .tokens = tokens.data(), .targets = tokens.data(), .samples = samples.data()});
  model::transformer_forward(context, small.trainer->weights, views, small.trainer->saved, slot.arena());
  std::vector<float> logits(static_cast<size_t>(T * V));
  model::head_logits(context, small.trainer->weights.head, small.trainer->saved.final_norm.y,
                     runtime::view_of(std::span(logits), {T, V}));
  return {logits.end() - V, logits.end()};
}

TEST(Generation, GreedyWithCacheEqualsFullForward) {
  model::ModelConfig config = small_config();
  config.positions = 64;
  std::mt19937_64 random(2);  // fixed: fresh weights may bring two logits closer than rounding
  SmallModel full(config, model::plan_training(config, {}, 1, config.positions, {}, 1), solo_groups());
  SmallModel cached(config, model::plan_generation(config, {}), solo_groups(), model::Purpose::inference);
  std::mt19937_64 copy = random;
  full.randomize(random);
  cached.randomize(copy);
  model::Generator generator(*cached.trainer);
  std::vector<int32_t> tokens = {1, 5, 36, 0, 7};
  std::span<const float> logits = generator.feed(tokens);
  while (static_cast<int64_t>(tokens.size()) < config.positions) {
    const std::vector<float> expected = full_forward_logits(full, tokens);
    ASSERT_EQ(most_likely(logits), most_likely(expected)) << "after " << tokens.size() << " tokens";
    // Same sums in another order: a few units of 1e-7 of logits of order 10.
    for (size_t v = 0; v < expected.size(); ++v) ASSERT_NEAR(logits[v], expected[v], 2e-5);
    tokens.push_back(most_likely(logits));
    logits = generator.feed(std::span(tokens).last(1));
  }
  EXPECT_EQ(generator.past(), config.positions);
}

TEST(Generation, PlannedBytesAreUsedBytes) {
  const model::ModelConfig config = small_config();
  const runtime::MemoryPlan plan = model::plan_generation(config, {});
  SmallModel small(config, plan, solo_groups(), model::Purpose::inference);
  model::Generator generator(*small.trainer);
  const std::vector<int32_t> tokens(static_cast<size_t>(config.positions), 3);
  generator.feed(tokens);
  EXPECT_EQ(small.memory.used(), plan);
  generator.clear();
  for (int64_t i = 0; i < config.positions; ++i) generator.feed(std::span(tokens).first(1));  // needs no more
}

TEST(Generation, FeedingInPiecesEqualsFeedingAtOnce) {
  const model::ModelConfig config = small_config();
  std::mt19937_64 random(3);
  SmallModel small(config, model::plan_generation(config, {}), solo_groups(), model::Purpose::inference);
  small.randomize(random);
  model::Generator generator(*small.trainer);
  const std::vector<int32_t> tokens = {1, 5, 36, 0, 7, 2, 9};
  const std::span<const float> at_once = generator.feed(tokens);
  const std::vector<float> expected(at_once.begin(), at_once.end());
  generator.clear();
  generator.feed(std::span(tokens).first(3));
  const std::span<const float> pieces = generator.feed(std::span(tokens).subspan(3));
  for (size_t v = 0; v < expected.size(); ++v) EXPECT_NEAR(pieces[v], expected[v], 2e-5);
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
