// The model against PyTorch: transformers' models of the same weights, trained on the same batches. The fixtures in
// golden/ are kept; TRIREME_PARITY_FIXTURES names a directory of fresh ones (tests/parity/live.sh).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "tests/model/pytorch_fixture.h"
#include "tests/model/small_model.h"

namespace trireme::tests {
namespace {

using model::HostMicrobatch;
using model::StepResult;
using model::UpdateOptions;

/// What make_fixtures.py trains with, but for the learning rate.
constexpr UpdateOptions kUpdate{
    .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip_grad_norm = 2.2};

class PyTorch : public testing::TestWithParam<const char*> {
 protected:
  /// The model with the fixture's weights, for microbatches of B sequences.
  std::unique_ptr<SmallModel> load(int64_t B, const model::Execution& execution = {}) {
    const model::ModelConfig& config = fixture.config;
    const runtime::MemoryPlan plan =
        model::plan_training(config, on_device(execution), {}, {.B = B, .T = fixture.batch_shape[2]}, kUpdate);
    auto small = std::make_unique<SmallModel>(config, plan, solo_groups(), model::Purpose::training, execution);
    for (const model::Unit& unit : small->trainer->units) {
      for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
        const parallel::ParameterSpec& spec = unit.layout.parameters[i].spec;
        const std::string name = "/weights/" + spec.name;
        if (fixture.reader.dataset(name).shape != spec.global_shape) throw std::runtime_error(name + ": other shape");
        write_values(small->stream, fixture.read<float>(name), unit.part(unit.memory.masters, i));
      }
    }
    model::round_masters(small->stream, small->trainer->units);
    return small;
  }

  /// Losses and gradient norms of the fixture's steps, in microbatches of one sequence: those of a step have unequal
  /// numbers of targets.
  std::vector<StepResult> train(const model::Execution& execution = {}) {
    const std::unique_ptr<SmallModel> small = load(1, execution);
    std::vector<StepResult> results;
    for (int64_t step = 0; step < 20; ++step) {
      UpdateOptions update = kUpdate;
      update.learning_rate = fixture.learning_rates.at(static_cast<size_t>(step));
      update.update = step + 1;
      results.push_back(model::train_step(*small->trainer, fixture.batch(step, 1), update));
    }
    return results;
  }

  static std::string path() {
    const char* directory = std::getenv("TRIREME_PARITY_FIXTURES");
    return std::string(directory != nullptr ? directory : "tests/model/golden") + "/" + GetParam() + "-odd.h5";
  }

  Fixture fixture{path()};
  testing::ScopedTrace trace{GetParam(), 0, "fixture of " + fixture.made_with};
};

struct Distance {
  double difference = 0;  ///< Euclidean norm of actual - expected
  double expected = 0;
};
Distance distance(const Vector& actual, const std::vector<float>& expected) {
  Distance squares;
  for (size_t i = 0; i < expected.size(); ++i) {
    squares.difference += std::pow(actual.at(i) - expected[i], 2);
    squares.expected += std::pow(expected[i], 2);
  }
  return {std::sqrt(squares.difference), std::sqrt(squares.expected)};
}

TEST_P(PyTorch, FixtureHoldsNoOtherParameters) {
  // load() asks for every parameter that the model has; this is the other direction.
  int64_t elements = 0;
  for (const auto& [name, values] : load(1)->values()) elements += static_cast<int64_t>(values.size());
  EXPECT_EQ(elements, fixture.parameters);
  EXPECT_EQ(model::parameter_count(fixture.config), fixture.parameters);
}

TEST_P(PyTorch, LogitsAreTheSame) {
  const std::unique_ptr<SmallModel> small = load(1);
  const std::vector<float> expected = fixture.read<float>("/logits");
  std::vector<double> logits;
  for (const HostMicrobatch& sequence : fixture.batch(0, 1)) {
    std::ranges::copy(small->logits(SmallBatch({sequence.tokens, sequence.tokens + sequence.T})),
                      std::back_inserter(logits));
  }
  ASSERT_EQ(logits.size(), expected.size());
  // Logits of order 3 from two blocks of fp32 sums: a few 1e-6. The project's bar is 1e-4.
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(logits[i], expected[i], 2e-5) << "logit " << i;
}

TEST_P(PyTorch, LossAndGradientsAreTheSame) {
  const int64_t B = fixture.batch_shape[1];
  const std::unique_ptr<SmallModel> small = load(B);
  // With beta1 = 0 and no clipping, Adam's first moment after one update is the gradient of the mean loss.
  const StepResult result = model::train_step(*small->trainer, fixture.batch(0, B), {.beta1 = 0, .clip_grad_norm = 0});
  const double whole_norm = fixture.gradient_norms.at(0);
  EXPECT_NEAR(result.loss, fixture.losses.at(0), 1e-5);
  EXPECT_NEAR(result.grad_norm, whole_norm, 1e-5 * whole_norm);
  for (const auto& [name, gradient] : small->values(&parallel::UnitMemory::exp_avg)) {
    const std::vector<float> expected = fixture.read<float>("/gradients/" + name);
    ASSERT_EQ(gradient.size(), expected.size()) << name;
    // fp32 leaves some 5e-7 of each. GPT-2's bias of k has no gradient in exact arithmetic (softmax does not see it):
    // what is left there are terms of order 1 that cancel, hence the part of the whole norm.
    const Distance from = distance(gradient, expected);
    EXPECT_LE(from.difference, 1e-5 * from.expected + 1e-7 * whole_norm) << name;
  }
}

TEST_P(PyTorch, TwentyStepsOfAdamWHaveTheSameLosses) {
  ASSERT_EQ(fixture.losses.size(), 20u);
  const std::vector<StepResult> results = train();
  for (size_t step = 0; step < results.size(); ++step) {
    // Over 30 seeds PyTorch's own losses in fp32 are up to 2e-6 from those in float64. The project's bar is 1e-4.
    EXPECT_NEAR(results[step].loss, fixture.losses[step], 2e-5) << "step " << step;
    // Some batch meets a steep place, where parameters that agree to 4e-7 give gradients that agree to 2e-5.
    const double norm = fixture.gradient_norms.at(step);
    EXPECT_NEAR(results[step].grad_norm, norm, 5e-4 * norm) << "step " << step;
  }
}

/// Root of the mean square of the relative errors.
double error_of(const std::vector<double>& losses, const std::vector<double>& expected) {
  double squares = 0;
  for (size_t i = 0; i < expected.size(); ++i) squares += std::pow(losses.at(i) / expected[i] - 1, 2);
  return std::sqrt(squares / static_cast<double>(expected.size()));
}

TEST_P(PyTorch, Bf16IsAsCloseAsItsBf16) {
  std::vector<double> losses;
  for (const StepResult& result : train({.storage = runtime::DType::bf16})) losses.push_back(result.loss);
  // Rounding errors of 20 steps are a walk: over 35 seeds ours and theirs are 3e-4 to 6e-3 from float64, ours 0.3 to
  // 3.7 times theirs, the largest ratios where theirs happen to be small. A walk may add 3e-3 more; bf16 itself is held
  // to the bit elsewhere. fp32 is 1e-7 from float64.
  const double error = error_of(losses, fixture.losses);
  const double theirs = error_of(fixture.read<double>("/losses_bf16"), fixture.losses);
  EXPECT_LE(error, 3 * theirs + 3e-3);
  EXPECT_GE(error, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Family, PyTorch, testing::Values("gpt2", "llama"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace trireme::tests
