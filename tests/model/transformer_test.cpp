// The whole model of either family: logits, loss and all gradients against the float64 oracle.
#include "model/transformer.h"

#include <gtest/gtest.h>

#include "runtime/ops/elementwise.h"
#include "tests/model/small_model.h"
#include "tests/reference/finite_differences.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

using model::Execution;
using model::ModelConfig;
using runtime::DType;

constexpr int64_t kB = 2;
constexpr int64_t kT = 5;

/// How near a whole model comes to float64, relative. In 900 models of these sizes, bf16 reached 0.76 of its bound for
/// the gradients. It is for weights of N(0, 0.1), as trained ones are: with N(0, 0.3) a layer would blow the rounding
/// of the one before it up, to 0.12 of a gradient.
struct ModelBound {
  double logits;
  double loss;
  GradientBound gradients;
};
constexpr float kDeviation = 0.1f;
/// Some fifty ops one after the other, each rounding by 6e-8 of its terms.
constexpr ModelBound kFp32 = {.logits = 1e-5, .loss = 1e-6, .gradients = {.of_own = 2e-5, .of_all = 1e-6}};
/// The same fifty, each rounding by 2e-3 of its result.
constexpr ModelBound kBf16 = {.logits = 3e-2, .loss = 1e-2, .gradients = {.of_own = 3e-2, .of_all = 3e-3}};

/// Every storage against one oracle: their weights are the same.
void expect_model_matches(const ModelConfig& config) {
  Random fresh;
  const SmallBatch batch(fresh.engine(), kB, kT, config.vocabulary_size);
  const std::mt19937_64 random = fresh.engine();
  const auto model_in = [&](DType storage) {
    auto small = std::make_unique<SmallModel>(config, Execution{.storage = storage}, kB, kT);
    std::mt19937_64 copy = random;
    small->randomize(copy, kDeviation);
    return small;
  };
  const Parameters parameters = model_in(DType::fp32)->values();
  const Rows logits = reference_logits(config, parameters, batch.tokens, kT);
  const double loss = reference_cross_entropy(logits, batch.targets);
  const Parameters gradients = finite_differences(
      parameters, [&](const Parameters& p) { return reference_loss(config, p, batch.tokens, batch.targets, kT); });
  for (const DType storage : {DType::fp32, DType::bf16}) {
    SCOPED_TRACE(config.family + " " + std::string(name(storage)));
    const ModelBound& bound = storage == DType::bf16 ? kBf16 : kFp32;
    const auto small = model_in(storage);
    EXPECT_LE(relative_error(std::span<const double>(small->logits(batch)), logits.values), bound.logits);
    const auto [loss_sum, target_count] = small->accumulate_gradients(batch);
    EXPECT_EQ(target_count, kB * kT);
    EXPECT_NEAR(loss_sum, loss, bound.loss * loss);
    expect_gradients_near(small->values(&parallel::UnitMemory::gradients), gradients, bound.gradients);
  }
}

TEST(Transformer, Gpt2MatchesFloat64) {
  expect_model_matches(small_gpt2());
}

TEST(Transformer, LlamaMatchesFloat64) {
  expect_model_matches(small_llama());
}

TEST(Transformer, TiedLlamaWithOneKeyValueHeadMatchesFloat64) {
  expect_model_matches(small_llama_tied());
}

/// What no published family has, but the options allow: each choice stands alone.
TEST(Transformer, MixedChoicesMatchFloat64) {
  ModelConfig config = small_gpt2();
  config.layers = 1;
  config.norm = model::NormKind::rms_norm;
  config.attention_bias = config.feed_forward_bias = false;
  expect_model_matches(config);  // learned positions, gelu, no biases
  config = small_llama();
  config.layers = 1;
  config.norm = model::NormKind::layer_norm;
  config.attention_bias = config.feed_forward_bias = true;
  expect_model_matches(config);  // rope, swiglu, biases
}

/// Embedding, last norm and head by themselves.
TEST(Transformer, NoLayersMatchFloat64) {
  for (ModelConfig config : {small_gpt2(), small_llama(), small_llama_tied()}) {
    config.layers = 0;
    expect_model_matches(config);
  }
}

TEST(Transformer, MissingTargetsCountForNothing) {
  const ModelConfig config = small_llama();
  Random fresh;
  SmallBatch batch(fresh.engine(), kB, kT, config.vocabulary_size);
  SmallModel small(config, {}, kB, kT);
  small.randomize(fresh.engine());
  batch.targets[1] = batch.targets[7] = -1;
  const auto [loss, count] = small.accumulate_gradients(batch);
  const double expected =
      reference_loss(config, small.values(&parallel::UnitMemory::parameters), batch.tokens, batch.targets, kT);
  EXPECT_EQ(count, kB * kT - 2);
  EXPECT_NEAR(loss, expected, kFp32.loss * expected);
}

/// With the bits fixed, the model with dropout is a differentiable function: its gradient along a direction must equal
/// the difference quotient of its own fp32 loss. A large step keeps rounding (about 1e-6 of the loss) below the
/// tolerance.
TEST(Transformer, DropoutIsTheSameForwardAndBackward) {
  for (const ModelConfig& config : {small_gpt2(), small_llama()}) {
    SCOPED_TRACE(config.family);
    std::mt19937_64 random(7);
    const SmallBatch batch(random, kB, 9, config.vocabulary_size);
    const model::UpdateOptions options{.dropout = 0.25, .seed = 3};
    SmallModel small(config, {}, kB, 9, options);
    small.randomize(random);
    const double loss_without = small.accumulate_gradients(batch)[0];
    for (model::Unit& unit : small.trainer->units) runtime::fill(small.stream, unit.memory.gradients, 0);
    const double loss_with = small.accumulate_gradients(batch, options)[0];
    EXPECT_NE(loss_with, loss_without);

    std::vector<std::vector<float>> gradients;
    double norm = 0;
    for (const model::Unit& unit : small.trainer->units) {
      gradients.push_back(read_values<float>(small.stream, unit.memory.gradients));
      for (float g : gradients.back()) norm += double{g} * g;
    }
    const auto loss_after = [&](double step) {
      for (size_t u = 0; u < gradients.size(); ++u) {
        std::vector<float> parameters = read_values<float>(small.stream, small.trainer->units[u].memory.parameters);
        for (size_t i = 0; i < gradients[u].size(); ++i) parameters[i] += static_cast<float>(step * gradients[u][i]);
        write_values(small.stream, parameters, small.trainer->units[u].memory.parameters);
      }
      return small.accumulate_gradients(batch, options)[0];
    };
    const double step = 1e-3 / std::sqrt(norm);
    const double above = loss_after(step);
    const double below = loss_after(-2 * step);
    EXPECT_NEAR((above - below) / (2 * step), norm, 2e-2 * norm);
  }
}

}  // namespace
}  // namespace trireme::tests
