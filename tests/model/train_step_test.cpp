#include "model/train_step.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/small_training.h"

namespace trireme::tests {
namespace {

using model::HostMicrobatch;
using model::ModelConfig;
using model::StepResult;
using model::UpdateOptions;

TEST(TrainStep, PlannedBytesAreUsedBytes) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    for (const double dropout : {0.0, 0.1}) {
      const UpdateOptions options{.dropout = dropout};
      const runtime::MemoryPlan plan = model::plan_training(config, on_device(), {}, {.B = 3, .T = kTokens}, options);
      SmallModel small(config, plan, solo_groups());
      std::mt19937_64 random(1);
      const SmallBatch batch(random, 3, kTokens, config.vocabulary_size);
      const HostMicrobatch microbatch = batch.host();
      model::train_step(*small.trainer, std::span(&microbatch, 1), options);
      model::add_loss(*small.trainer, microbatch);
      EXPECT_EQ(small.memory.used(), plan);
      EXPECT_EQ(small.memory.scratch.used_bytes(), 0);  // scratch is empty between actions
    }
  }
}

TEST(TrainStep, PlannedBytesOfEvaluationAreUsedBytes) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    for (const runtime::DType storage : {runtime::DType::fp32, runtime::DType::bf16}) {
      const model::Execution execution{.storage = storage};
      const runtime::MemoryPlan plan = model::plan_evaluation(config, on_device(execution), {.B = 3, .T = kTokens}, 1);
      SmallModel small(config, plan, solo_groups(), model::Purpose::inference, execution);
      std::mt19937_64 random(1);
      model::add_loss(*small.trainer, SmallBatch(random, 3, kTokens, config.vocabulary_size).host());
      EXPECT_EQ(small.memory.used(), plan);
    }
  }
}

/// The rows that a GPU's vocabulary tables have more than the vocabulary stay zero, and no checkpoint sees them.
TEST(TrainStep, PaddingOfTheVocabularyStaysZero) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    SmallModel small(config, model::Execution(), 2, kTokens);
    std::mt19937_64 random(1);
    const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
    const HostMicrobatch microbatch = batch.host();
    for (int64_t update = 1; update <= 3; ++update) {
      model::train_step(*small.trainer, std::span(&microbatch, 1), {.learning_rate = 1e-2, .update = update});
    }
    const runtime::View table = small.trainer->chunks[0].weights.head.table;
    const int64_t rows = table.shape[0];
    EXPECT_EQ(rows, device() == runtime::Device::cuda ? 64 : config.vocabulary_size);
    const std::vector<float> values = read_values<float>(small.stream, table);
    for (int64_t i = config.vocabulary_size * config.width; i < rows * config.width; ++i) {
      ASSERT_EQ(values[static_cast<size_t>(i)], 0) << i;
    }
    for (const model::Unit& unit : small.trainer->units) {
      for (const parallel::PlacedParameter& parameter : unit.layout.parameters) {
        EXPECT_EQ(parameter.spec.box, parallel::whole(parameter.spec.global_shape)) << parameter.spec.name;
      }
    }
  }
}

TEST(TrainStep, LossFalls) {
  // One batch over and over is learnt by heart, though its tokens are random.
  const ModelConfig config = small_gpt2();
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  SmallModel small(config, model::plan_training(config, on_device(), {}, {.B = 2, .T = kTokens}, {}), solo_groups());
  std::vector<double> losses;
  for (int64_t step = 1; step <= 100; ++step) {
    const UpdateOptions options{.learning_rate = 1e-2, .update = step};
    losses.push_back(model::train_step(*small.trainer, std::span(&microbatch, 1), options).loss);
  }
  EXPECT_NEAR(losses.front(), std::log(37.0), 0.1);  // initial weights know nothing: log V
  EXPECT_LT(losses.back(), 0.5);
}

TEST(TrainStep, MicrobatchesFollowTheWholeBatch) {
  const int64_t steps = is_emulated() ? 10 : 50;
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    const std::vector<double> whole = train(config, solo_groups(), kSequences, steps);
    expect_follows(train(config, solo_groups(), 3, steps), whole);
  }
}

TEST(TrainStep, NonFiniteLossSkipsTheUpdateAndClearsGradients) {
  const ModelConfig config = small_gpt2();
  SmallModel small(config, model::plan_training(config, on_device(), {}, {.B = 2, .T = kTokens}, {}), solo_groups());
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  const runtime::View table = small.trainer->chunks[0].weights.embedding.tokens;
  const std::vector<float> before = read_values<float>(small.stream, table);
  std::vector<float> infinite = before;
  infinite[0] = std::numeric_limits<float>::infinity();
  write_values(small.stream, infinite, table);
  const auto parameters = small.values();
  const StepResult poisoned = model::train_step(*small.trainer, std::span(&microbatch, 1), {});
  EXPECT_FALSE(poisoned.updated());
  EXPECT_EQ(small.values(), parameters);

  write_values(small.stream, before, table);
  const StepResult healthy = model::train_step(*small.trainer, std::span(&microbatch, 1), {});
  EXPECT_TRUE(healthy.updated());
  EXPECT_TRUE(std::isfinite(healthy.grad_norm));
}

/// Limits change from step to step, while the work that was recorded is repeated: the device reads them anew.
TEST(TrainStep, AStepAboveItsLimitsMakesNoUpdateAndTheNextOneIsAsIfItHadNotBeen) {
  const ModelConfig config = small_gpt2();
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  const auto new_model = [&] {
    return std::make_unique<SmallModel>(
        config, model::plan_training(config, on_device(), {}, {.B = 2, .T = kTokens}, {}), solo_groups());
  };
  const auto limited = new_model();
  const auto free = new_model();
  for (int64_t update = 1; update <= 3; ++update) {
    const auto before = limited->values();
    for (const runtime::UpdateVerdict expected :
         {runtime::UpdateVerdict::outlier_loss, runtime::UpdateVerdict::outlier_grad_norm}) {
      const bool is_loss = expected == runtime::UpdateVerdict::outlier_loss;
      const runtime::UpdateLimits limits =
          is_loss ? runtime::UpdateLimits{.loss = 0.01f} : runtime::UpdateLimits{.grad_norm = 0.01f};
      const StepResult skipped = model::train_step(*limited->trainer, std::span(&microbatch, 1),
                                                   {.learning_rate = 1e-2, .update = update, .limits = limits});
      EXPECT_EQ(skipped.verdict, expected);
      EXPECT_FALSE(skipped.updated());
      EXPECT_GT(is_loss ? skipped.loss : skipped.grad_norm, 0.01);
      EXPECT_EQ(limited->values(), before);
    }
    const UpdateOptions options{.learning_rate = 1e-2, .update = update};
    UpdateOptions wide = options;
    wide.limits = {.loss = 100, .grad_norm = 1e6f};
    EXPECT_TRUE(model::train_step(*limited->trainer, std::span(&microbatch, 1), wide).updated());
    EXPECT_TRUE(model::train_step(*free->trainer, std::span(&microbatch, 1), options).updated());
    EXPECT_EQ(limited->values(), free->values());
    EXPECT_NE(limited->values(), before);
  }
}

TEST(TrainStep, ClippingBoundsTheUpdateAndReportsTheNormBefore) {
  // With epsilon large, Adam's first update is close to learning_rate * g / epsilon, so its size shows the clipped
  // gradient.
  const ModelConfig config = small_gpt2();
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  const auto update_size = [&](double clip, double& reported) {
    SmallModel small(config, model::plan_training(config, on_device(), {}, {.B = 2, .T = kTokens}, {}), solo_groups());
    const auto before = small.values();
    const UpdateOptions options{.learning_rate = 1, .weight_decay = 0, .epsilon = 1e3, .clip_grad_norm = clip};
    reported = model::train_step(*small.trainer, std::span(&microbatch, 1), options).grad_norm;
    double squares = 0;
    for (const auto& [name, values] : small.values()) {
      for (size_t i = 0; i < values.size(); ++i) squares += std::pow(values[i] - before.at(name)[i], 2);
    }
    return std::sqrt(squares) * 1e3;
  };
  double norm = 0;
  double norm_clipped = 0;
  const double size = update_size(0, norm);
  const double size_clipped = update_size(0.1, norm_clipped);
  EXPECT_EQ(norm, norm_clipped);
  EXPECT_GT(norm, 0.2);
  EXPECT_NEAR(size, norm, 1e-2 * norm);  // parameters near 1 carry a difference of 1e-4 with 1e-3 relative
  EXPECT_NEAR(size_clipped, 0.1, 2e-2 * 0.1);
}

TEST(TrainStep, WeightDecaySparesNormsAndBiases) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    for (const model::UnitDefinition& unit : model::define_units(config)) {
      for (const model::ParameterDefinition& parameter : unit.parameters) {
        EXPECT_EQ(parameter.decays, parameter.spec.global_shape.size() == 2) << parameter.spec.name;
      }
    }
  }
}

}  // namespace
}  // namespace trireme::tests
