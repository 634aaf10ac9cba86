#include "model/train_step.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/local_ranks.h"
#include "tests/model/small_model.h"

namespace trireme::tests {
namespace {

using model::HostMicrobatch;
using model::ModelConfig;
using model::StepResult;
using model::UpdateOptions;

constexpr int64_t kSequences = 12;
constexpr int64_t kTokens = 9;

/// The sequences [begin, begin + count) of a batch as one microbatch.
HostMicrobatch part(const SmallBatch& batch, int64_t begin, int64_t count) {
  return {.B = count,
          .T = batch.T,
          .tokens = batch.tokens.data() + begin * batch.T,
          .targets = batch.targets.data() + begin * batch.T,
          .samples = batch.samples.data() + begin};
}

/// Losses of `steps` steps on one fixed batch per step; this rank takes its share of the sequences in microbatches of
/// B.
std::vector<double> train(const ModelConfig& config, parallel::MeshGroups groups, int64_t B, int64_t steps) {
  const int64_t rank = groups.dp->rank();
  const int dp = groups.dp->size();
  const int64_t share = kSequences / dp;
  const UpdateOptions options{.learning_rate = 1e-2, .dropout = 0.1, .seed = 5};
  SmallModel small(config, model::plan_training(config, {}, B, kTokens, options, dp), std::move(groups));
  std::vector<double> losses;
  for (int64_t step = 0; step < steps; ++step) {
    std::mt19937_64 random(static_cast<uint64_t>(step));
    const SmallBatch batch(random, kSequences, kTokens, config.vocabulary_size);
    std::vector<HostMicrobatch> microbatches;
    for (int64_t b = 0; b < share; b += B) microbatches.push_back(part(batch, rank * share + b, B));
    UpdateOptions update = options;
    update.update = step + 1;
    losses.push_back(model::train_step(*small.trainer, microbatches, update).loss);
  }
  return losses;
}

/// fp32 sums in another order: each step's loss within 1e-5 of the other, relative, over 50 steps (the bar of the
/// project).
void expect_follows(const std::vector<double>& losses, const std::vector<double>& expected) {
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-5 * expected[i]) << "step " << i;
}

TEST(TrainStep, PlannedBytesAreUsedBytes) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    for (const double dropout : {0.0, 0.1}) {
      const UpdateOptions options{.dropout = dropout};
      const runtime::MemoryPlan plan = model::plan_training(config, {}, 3, kTokens, options, 1);
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

TEST(TrainStep, PlannedBytesAreUsedBytesOnSeveralRanks) {
  const ModelConfig config = small_gpt2();
  const runtime::MemoryPlan plan = model::plan_training(config, {}, 3, kTokens, {}, 3);
  runtime::run_local_ranks(3, [&](runtime::Communicator& world) {
    SmallModel small(config, plan, parallel::make_groups({.dp = 3}, world));
    std::mt19937_64 random(1);
    const SmallBatch batch(random, 3, kTokens, config.vocabulary_size);
    const HostMicrobatch microbatch = batch.host();
    model::train_step(*small.trainer, std::span(&microbatch, 1), {});
    EXPECT_EQ(small.memory.used(), plan);
  });
}

TEST(TrainStep, PlannedBytesOfEvaluationAreUsedBytes) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    for (const runtime::DType storage : {runtime::DType::fp32, runtime::DType::bf16}) {
      const model::Execution execution{.storage = storage};
      const runtime::MemoryPlan plan = model::plan_evaluation(config, execution, 3, kTokens, 1);
      SmallModel small(config, plan, solo_groups(), model::Purpose::inference, execution);
      std::mt19937_64 random(1);
      model::add_loss(*small.trainer, SmallBatch(random, 3, kTokens, config.vocabulary_size).host());
      EXPECT_EQ(small.memory.used(), plan);
    }
  }
}

TEST(TrainStep, LossFalls) {
  // One batch over and over is learnt by heart, though its tokens are random.
  const ModelConfig config = small_gpt2();
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  SmallModel small(config, model::plan_training(config, {}, 2, kTokens, {}, 1), solo_groups());
  std::vector<double> losses;
  for (int64_t step = 1; step <= 100; ++step) {
    const UpdateOptions options{.learning_rate = 1e-2, .update = step};
    losses.push_back(model::train_step(*small.trainer, std::span(&microbatch, 1), options).loss);
  }
  EXPECT_NEAR(losses.front(), std::log(37.0), 0.1);  // initial weights know nothing: log V
  EXPECT_LT(losses.back(), 0.5);
}

TEST(TrainStep, MicrobatchesFollowTheWholeBatch) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    const std::vector<double> whole = train(config, solo_groups(), kSequences, 50);
    expect_follows(train(config, solo_groups(), 3, 50), whole);
  }
}

TEST(TrainStep, LocalRanksFollowOneRank) {
  const std::vector<double> alone = train(small_gpt2(), solo_groups(), 3, 50);
  for (const int ranks : {2, 4}) {
    std::vector<std::vector<double>> losses(static_cast<size_t>(ranks));
    runtime::run_local_ranks(ranks, [&](runtime::Communicator& world) {
      parallel::MeshGroups groups = parallel::make_groups({.dp = ranks}, world);
      losses[static_cast<size_t>(world.rank())] = train(small_gpt2(), std::move(groups), 3, 50);
    });
    for (const std::vector<double>& of_rank : losses) {
      expect_follows(of_rank, alone);
      EXPECT_EQ(of_rank, losses.front());  // every rank reports the same bits
    }
  }
}

TEST(TrainStep, NonFiniteLossSkipsTheUpdateAndClearsGradients) {
  const ModelConfig config = small_gpt2();
  SmallModel small(config, model::plan_training(config, {}, 2, kTokens, {}, 1), solo_groups());
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  const runtime::View table = small.trainer->weights.embedding.tokens;
  const float before = table.as<float>()[0];
  table.as<float>()[0] = std::numeric_limits<float>::infinity();
  const auto parameters = small.values();
  const StepResult poisoned = model::train_step(*small.trainer, std::span(&microbatch, 1), {});
  EXPECT_FALSE(poisoned.updated);
  EXPECT_EQ(small.values(), parameters);

  table.as<float>()[0] = before;
  const StepResult healthy = model::train_step(*small.trainer, std::span(&microbatch, 1), {});
  EXPECT_TRUE(healthy.updated);
  EXPECT_TRUE(std::isfinite(healthy.grad_norm));
}

TEST(TrainStep, NonFiniteGradientOfOneRankSkipsTheUpdateOnAll) {
  const ModelConfig config = small_gpt2();
  const runtime::MemoryPlan plan = model::plan_training(config, {}, 2, kTokens, {}, 2);
  runtime::run_local_ranks(2, [&](runtime::Communicator& world) {
    SmallModel small(config, plan, parallel::make_groups({.dp = 2}, world));
    std::mt19937_64 random(1);
    const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
    const HostMicrobatch microbatch = batch.host();
    const auto parameters = small.values();
    const runtime::View bias = small.trainer->gradients.blocks[0].feed_forward.up.bias;
    if (world.rank() == 1) bias.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(model::train_step(*small.trainer, std::span(&microbatch, 1), {}).updated);
    EXPECT_EQ(small.values(), parameters);
    EXPECT_TRUE(model::train_step(*small.trainer, std::span(&microbatch, 1), {}).updated);
  });
}

TEST(TrainStep, ClippingBoundsTheUpdateAndReportsTheNormBefore) {
  // With epsilon large, Adam's first update is close to learning_rate * g / epsilon, so its size shows the clipped
  // gradient.
  const ModelConfig config = small_gpt2();
  std::mt19937_64 random(1);
  const SmallBatch batch(random, 2, kTokens, config.vocabulary_size);
  const HostMicrobatch microbatch = batch.host();
  const auto update_size = [&](double clip, double& reported) {
    SmallModel small(config, model::plan_training(config, {}, 2, kTokens, {}, 1), solo_groups());
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
