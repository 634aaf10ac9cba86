#include "model/transformer.h"

#include <gtest/gtest.h>

#include "tests/model/small_model.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

using model::ModelConfig;

/// Runs forward and backward of one microbatch and returns loss sum and target count.
std::array<double, 2> run_backward(SmallModel& small, const SmallBatch& batch, const model::UpdateOptions& options) {
  // A learning rate of 0 would divide nothing but also clear the gradients, so the pieces of train_step are called
  // here.
  model::Trainer& trainer = *small.trainer;
  model::Context context{.config = trainer.config,
                         .stream = small.stream,
                         .scratch = small.memory.scratch,
                         .tp = *small.groups.tp,
                         .dropout = static_cast<float>(options.dropout),
                         .seed = options.seed};
  runtime::SlotRing::Lease slot = small.memory.slots.acquire();
  const model::TokenViews tokens = model::upload_tokens(small.stream, slot.arena(), batch.host());
  model::reset_loss(trainer);
  model::transformer_forward(context, trainer.weights, tokens, trainer.saved, slot.arena());
  model::transformer_backward(context, trainer.weights, trainer.gradients, trainer.saved, trainer.totals.rows(0, 2),
                              [](size_t) {});
  return {trainer.totals.as<double>()[0], trainer.totals.as<double>()[1]};
}

/// Central differences of the float64 reference at some elements of every parameter, against the gradients of the real
/// model.
void expect_gradients_match(const ModelConfig& config, std::mt19937_64& random) {
  const SmallBatch batch(random, 2, 9, config.vocabulary_size);
  SmallModel small(config, model::plan_training(config, {}, 2, 9, {}, 1), solo_groups());
  small.randomize(random);
  const auto [loss, count] = run_backward(small, batch, {});
  Parameters parameters = small.values();
  const auto reference = [&] { return reference_loss(config, parameters, batch.tokens, batch.targets, 9); };
  EXPECT_EQ(count, 18);
  EXPECT_NEAR(loss, reference(), 1e-5 * reference());  // fp32 logits of width 21: a few 1e-7 each

  const Parameters gradients = small.values(&model::Unit::gradients);
  for (auto& [name, values] : parameters) {
    const Vector& gradient = gradients.at(name);
    double norm = 0;
    for (double g : gradient) norm += g * g;
    // The step of 1e-4 makes the difference quotient exact to about 1e-8; the relative part is for fp32 sums over 18
    // tokens. The bias of k has no gradient in exact arithmetic: what fp32 leaves there, terms of order 1 that cancel,
    // needs the absolute part.
    const double tolerance = 1e-5 * std::sqrt(norm) + 2e-6;
    for (int probe = 0; probe < 6; ++probe) {
      const size_t i = random() % values.size();
      const double step = 1e-4;
      const double value = values[i];
      values[i] = value + step;
      const double above = reference();
      values[i] = value - step;
      const double below = reference();
      values[i] = value;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * step), tolerance) << name << "[" << i << "]";
    }
  }
}

TEST(Transformer, GradientsEqualFiniteDifferencesOfFloat64) {
  Random fresh;
  std::mt19937_64& random = fresh.engine();
  expect_gradients_match(small_config(), random);
}

TEST(Transformer, GradientsEqualFiniteDifferencesUntiedWithOtherWidths) {
  Random fresh;
  std::mt19937_64& random = fresh.engine();
  ModelConfig config = small_config();
  config.tied_embeddings = false;
  config.layers = 1;
  config.heads = config.kv_heads = 1;
  config.width = config.head_width = 16;
  config.feed_forward_width = 7;
  expect_gradients_match(config, random);
}

TEST(Transformer, DropoutIsTheSameForwardAndBackward) {
  // With the bits fixed, the model with dropout is a differentiable function: its gradient along a direction must equal
  // the difference quotient of its own fp32 loss. A large step keeps rounding (about 1e-6 of the loss) below the
  // tolerance.
  std::mt19937_64 random(7);
  const ModelConfig config = small_config();
  const SmallBatch batch(random, 2, 9, config.vocabulary_size);
  const model::UpdateOptions options{.dropout = 0.25, .seed = 3};
  SmallModel small(config, model::plan_training(config, {}, 2, 9, options, 1), solo_groups());
  small.randomize(random);
  const double loss_without = run_backward(small, batch, {})[0];
  for (model::Unit& unit : small.trainer->units)
    std::fill_n(unit.gradients.as<float>(), unit.gradients.elements(), 0.0f);
  const double loss_with = run_backward(small, batch, options)[0];
  EXPECT_NE(loss_with, loss_without);

  std::vector<std::vector<float>> gradients;
  double norm = 0;
  for (const model::Unit& unit : small.trainer->units) {
    gradients.emplace_back(unit.gradients.as<float>(), unit.gradients.as<float>() + unit.gradients.elements());
    for (float g : gradients.back()) norm += double{g} * g;
  }
  const auto loss_at = [&](double step) {
    for (size_t u = 0; u < gradients.size(); ++u) {
      for (size_t i = 0; i < gradients[u].size(); ++i) {
        small.trainer->units[u].parameters.as<float>()[i] += static_cast<float>(step * gradients[u][i]);
      }
    }
    return run_backward(small, batch, options)[0];
  };
  const double step = 1e-3 / std::sqrt(norm);
  const double above = loss_at(step);
  const double below = loss_at(-2 * step);
  EXPECT_NEAR((above - below) / (2 * step), norm, 2e-2 * norm);
}

}  // namespace
}  // namespace trireme::tests
