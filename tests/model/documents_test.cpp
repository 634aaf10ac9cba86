// Several documents in one sequence, kept apart: what is computed is what each document alone gives.
#include <gtest/gtest.h>

#include "tests/model/small_model.h"

namespace trireme::tests {
namespace {

using model::ModelConfig;

constexpr int64_t kT = 9;
constexpr int64_t kFirst = 4;  ///< tokens of the first document; the second has the rest

/// One sequence of two documents.
SmallBatch packed(const ModelConfig& config) {
  std::mt19937_64 random(3);
  SmallBatch batch(random, 1, kT, config.vocabulary_size);
  batch.targets[kFirst - 1] = -1;
  for (int64_t t = 0; t < kT; ++t) {
    const int64_t begin = t < kFirst ? 0 : kFirst;
    batch.first_keys.push_back(static_cast<int32_t>(begin));
    batch.positions.push_back(static_cast<int32_t>(t - begin));
  }
  return batch;
}

/// The same documents in two sequences, padded behind.
SmallBatch apart(const SmallBatch& packed, const ModelConfig& config) {
  std::mt19937_64 random(4);
  SmallBatch batch(random, 2, kT, config.vocabulary_size);
  std::ranges::fill(batch.targets, -1);
  for (size_t t = 0; t < kT; ++t) {
    const size_t to = t < kFirst ? t : kT + t - kFirst;
    batch.tokens[to] = packed.tokens[t];
    batch.targets[to] = packed.targets[t];
  }
  return batch;
}

struct Result {
  std::array<double, 2> totals{};
  Parameters gradients;
};

Result computed(const ModelConfig& config, const SmallBatch& batch, model::Recompute recompute) {
  const model::Execution execution{.recompute = recompute};
  const model::StepShape shape{.B = batch.B, .T = batch.T, .has_documents = !batch.first_keys.empty()};
  SmallModel small(config, model::plan_training(config, on_device(execution), {}, shape, {}), solo_groups(),
                   model::Purpose::training, execution);
  std::mt19937_64 random(5);
  small.randomize(random);
  Result result{.totals = small.accumulate_gradients(batch), .gradients = {}};
  result.gradients = small.values(&parallel::UnitMemory::gradients);
  return result;
}

TEST(Documents, PackedGiveTheLossAndGradientsOfEachAlone) {
  for (const ModelConfig& config : {small_gpt2(), small_llama(), small_llama_tied()}) {
    const SmallBatch one = packed(config);
    const Result expected = computed(config, apart(one, config), model::Recompute::none);
    for (const model::Recompute recompute :
         {model::Recompute::none, model::Recompute::selective, model::Recompute::full}) {
      const Result result = computed(config, one, recompute);
      EXPECT_EQ(result.totals[1], static_cast<double>(kT - 1));
      EXPECT_EQ(result.totals[1], expected.totals[1]);
      // fp32 sums in another order: some units of 2^-24 = 6e-8, relative to the largest terms.
      EXPECT_NEAR(result.totals[0], expected.totals[0], 1e-6 * expected.totals[0]);
      for (const auto& [name, values] : expected.gradients) {
        double largest = 0;
        for (const double value : values) largest = std::max(largest, std::abs(value));
        for (size_t i = 0; i < values.size(); ++i) {
          ASSERT_NEAR(result.gradients.at(name)[i], values[i], 1e-5 * largest + 1e-6) << name << " " << i;
        }
      }
    }
  }
}

TEST(Documents, WithoutTheMaskTheyDoSeeEachOther) {
  const SmallBatch one = packed(small_gpt2());
  SmallBatch unmasked = one;
  unmasked.positions.clear();
  unmasked.first_keys.clear();
  const Result with = computed(small_gpt2(), one, model::Recompute::none);
  const Result without = computed(small_gpt2(), unmasked, model::Recompute::none);
  EXPECT_GT(std::abs(with.totals[0] - without.totals[0]), 1e-3);
}

TEST(Documents, OneDocumentIsTheWholeSequenceToTheBit) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    std::mt19937_64 random(6);
    const SmallBatch plain(random, 2, kT, config.vocabulary_size);
    SmallBatch whole = plain;
    for (int64_t i = 0; i < 2 * kT; ++i) {
      whole.first_keys.push_back(0);
      whole.positions.push_back(static_cast<int32_t>(i % kT));
    }
    const Result expected = computed(config, plain, model::Recompute::none);
    const Result result = computed(config, whole, model::Recompute::none);
    EXPECT_EQ(result.totals, expected.totals);
    EXPECT_EQ(result.gradients, expected.gradients);
  }
}

TEST(Documents, StepsAndValidationUseThePlannedMemory) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    const model::UpdateOptions options{.dropout = 0.1};
    const model::StepShape shape{.B = 2, .T = kT, .has_documents = true};
    const runtime::MemoryPlan plan = model::plan_training(config, on_device(), {}, shape, options);
    SmallModel small(config, plan, solo_groups());
    std::mt19937_64 random(7);
    SmallBatch batch(random, 2, kT, config.vocabulary_size);
    batch.cut_documents(random);
    const model::HostMicrobatch microbatch = batch.host();
    for (int64_t step = 0; step < 3; ++step) {
      model::UpdateOptions update = options;
      update.update = step + 1;
      const model::StepResult result = model::train_step(*small.trainer, std::span(&microbatch, 1), update);
      EXPECT_EQ(result.target_tokens, std::ranges::count_if(batch.targets, [](int32_t target) { return target >= 0; }));
    }
    model::reset_loss(*small.trainer);
    model::add_loss(*small.trainer, microbatch);
    EXPECT_TRUE(std::isfinite(model::mean_loss(*small.trainer).loss));
    EXPECT_EQ(small.memory.used(), plan);
  }
}

}  // namespace
}  // namespace trireme::tests
