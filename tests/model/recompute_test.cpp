// Recomputation changes memory and work, never a bit of a number.
#include <gtest/gtest.h>

#include "tests/model/small_model.h"

namespace trireme::tests {
namespace {

using model::Execution;
using model::ModelConfig;
using model::Recompute;
using model::UpdateOptions;
using runtime::DType;

constexpr int64_t kB = 2;
constexpr int64_t kT = 9;

/// Every family in every storage, named in failures.
template <typename Check>
void for_each_model(const Check& check) {
  for (const ModelConfig& config : {small_gpt2(), small_llama(), small_llama_tied()}) {
    for (const DType storage : {DType::fp32, DType::bf16}) {
      SCOPED_TRACE(config.family + " " + std::string(name(storage)));
      check(config, storage);
    }
  }
}

struct LossAndGradients {
  std::array<double, 2> totals;
  Parameters gradients;
};

LossAndGradients run(const ModelConfig& config, const Execution& execution, double dropout) {
  std::mt19937_64 random(4);
  const SmallBatch batch(random, kB, kT, config.vocabulary_size);
  const UpdateOptions options{.dropout = dropout, .seed = 3};
  SmallModel small(config, execution, kB, kT, options);
  small.randomize(random);
  const std::array<double, 2> totals = small.accumulate_gradients(batch, options);
  return {totals, small.values(&parallel::UnitMemory::gradients)};
}

TEST(Recompute, LossAndGradientsAreTheSameToTheBit) {
  for_each_model([](const ModelConfig& config, DType storage) {
    for (const double dropout : {0.0, 0.1}) {
      const LossAndGradients saved = run(config, {.storage = storage}, dropout);
      for (const Recompute recompute : {Recompute::selective, Recompute::full}) {
        const LossAndGradients again = run(config, {.storage = storage, .recompute = recompute}, dropout);
        EXPECT_EQ(again.totals, saved.totals);
        for (const auto& [name, gradient] : saved.gradients) {
          EXPECT_EQ(again.gradients.at(name), gradient) << name << ", dropout " << dropout;
        }
      }
    }
  });
}

TEST(Recompute, TrainsTheSameWeights) {
  for_each_model([](const ModelConfig& config, DType storage) {
    std::vector<Parameters> masters;
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      UpdateOptions options{.learning_rate = 1e-2, .dropout = 0.1, .seed = 3};
      SmallModel small(config, {.storage = storage, .recompute = recompute}, kB, kT, options);
      for (options.update = 1; options.update <= 3; ++options.update) {
        std::mt19937_64 random(static_cast<uint64_t>(options.update));
        const SmallBatch batch(random, kB, kT, config.vocabulary_size);
        const model::HostMicrobatch microbatch = batch.host();
        EXPECT_TRUE(model::train_step(*small.trainer, std::span(&microbatch, 1), options).updated());
      }
      masters.push_back(small.values());
    }
    EXPECT_EQ(masters[0], masters[1]);
    EXPECT_EQ(masters[0], masters[2]);
  });
}

TEST(Recompute, SavesLessAndUsesWhatWasPlanned) {
  for_each_model([](ModelConfig config, DType storage) {
    config.layers = 6;  // full recomputation pays the scratch of one block to save the slots of all
    for (const double dropout : {0.0, 0.1}) {
      const UpdateOptions options{.dropout = dropout};
      std::vector<runtime::MemoryPlan> plans;
      for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        const Execution execution{.storage = storage, .recompute = recompute};
        plans.push_back(model::plan_training(config, on_device(execution), {}, {.B = kB, .T = kT}, options));
        SmallModel small(config, plans.back(), solo_groups(), model::Purpose::training, execution);
        std::mt19937_64 random(1);
        const SmallBatch batch(random, kB, kT, config.vocabulary_size);
        const model::HostMicrobatch microbatch = batch.host();
        model::train_step(*small.trainer, std::span(&microbatch, 1), options);
        model::add_loss(*small.trainer, microbatch);
        EXPECT_EQ(small.memory.used(), plans.back());
        EXPECT_EQ(small.memory.scratch.used_bytes(), 0);
      }
      EXPECT_LT(plans[1].slot_bytes(), plans[0].slot_bytes());
      EXPECT_LT(plans[2].slot_bytes(), plans[1].slot_bytes());
      EXPECT_LT(plans[1].total_bytes(), plans[0].total_bytes());
      EXPECT_LT(plans[2].total_bytes(), plans[1].total_bytes());
      EXPECT_EQ(plans[1].persistent_bytes, plans[0].persistent_bytes);
      EXPECT_EQ(plans[2].persistent_bytes, plans[0].persistent_bytes);
    }
  });
}

}  // namespace
}  // namespace trireme::tests
