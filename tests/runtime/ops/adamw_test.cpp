#include "runtime/ops/adamw.h"

#include "tests/reference/adamw.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::same_bits;
using tests::Tensor;

struct Case {
  Tensor<float> parameter, gradient, m, v;

  Case(tests::Random& random, int64_t n) : parameter(random.normals({n})), gradient({n}), m({n}), v({n}) {}
  AdamWViews views() {
    return {.parameter = parameter.view(), .gradient = gradient.view(), .m = m.view(), .v = v.view()};
  }
};

constexpr AdamWStep kStep = {.learning_rate = 0.1f,
                             .beta1 = 0.9f,
                             .beta2 = 0.95f,
                             .epsilon = 1e-8f,
                             .weight_decay = 0.1f,
                             .gradient_scale = 0.01f};

TEST(AdamW, MatchesFloat64) {
  tests::Random random;
  const tests::NaiveAdamW options = {.learning_rate = kStep.learning_rate,
                                     .beta1 = kStep.beta1,
                                     .beta2 = kStep.beta2,
                                     .epsilon = kStep.epsilon,
                                     .weight_decay = kStep.weight_decay,
                                     .gradient_scale = kStep.gradient_scale};
  for (const int64_t n : {1, 15, 64, 4096 + 17, 10000}) {
    Case given(random, n);
    std::vector<tests::NaiveAdamWState> expected;
    for (const float value : given.parameter.values) expected.push_back({.parameter = value});
    for (int update = 1; update <= 5; ++update) {
      given.gradient = random.normals({n}, 30);
      for (size_t i = 0; i < expected.size(); ++i) {
        expected[i] = tests::naive_adamw(options, expected[i], given.gradient.values[i], update);
      }
      AdamWStep step = kStep;
      step.update = update;
      Stream stream(Device::cpu);
      adamw_update(stream, step, given.views());
      EXPECT_EQ(given.gradient.values, std::vector<float>(static_cast<size_t>(n), 0.0f));
    }
    // Absolute, beside five steps of about 0.1 each: a parameter below 4 is rounded by 2.4e-7 in every update, a step
    // errs by 1e-6 of itself; relative to a parameter near 1 a wrong step would hide, and a change may cancel to 0.
    for (int64_t i = 0; i < n; ++i) {
      const tests::NaiveAdamWState& state = expected[static_cast<size_t>(i)];
      ASSERT_NEAR(given.parameter[i], state.parameter, 3e-6) << i << " of " << n;
      ASSERT_NEAR(given.m[i], state.m, 1e-6) << i << " of " << n;
      ASSERT_NEAR(given.v[i], state.v, 1e-6 * state.v) << i << " of " << n;
    }
  }
}

// 1 - beta2^t is 0.001 in the first update with beta2 = 0.999: taken in fp32 it would err by 6e-5.
TEST(AdamW, FirstUpdateMovesByTheLearningRate) {
  tests::Random random;
  Case given(random, 100);
  std::ranges::fill(given.parameter.values, 0.0f);
  given.gradient = random.normals({100}, 1000);
  const Tensor<float> gradient = given.gradient;
  Stream stream(Device::cpu);
  adamw_update(stream, {.learning_rate = 0.5f, .beta2 = 0.999f, .gradient_scale = 1e-3f}, given.views());
  for (int64_t i = 0; i < 100; ++i) {
    // 1e-6 for ten roundings; epsilon changes it by 1e-8 / |g|, which 1e-5 covers for |g| > 1e-3.
    if (std::abs(gradient[i]) < 1) continue;
    EXPECT_NEAR(given.parameter[i], gradient[i] > 0 ? -0.5f : 0.5f, 1e-5);
  }
}

TEST(AdamW, SplitsAndThreadsGiveTheSameBits) {
  tests::Random random;
  const int64_t n = 3 * 4096 + 77;
  Case whole(random, n);
  whole.gradient = random.normals({n});
  whole.m = random.normals({n});
  for (float& value : whole.v.values) value = random.uniform(0, 1);
  Case split = whole;
  Stream stream(Device::cpu);
  AdamWStep step = kStep;
  step.update = 7;
  {
    const tests::Threads one(1);
    adamw_update(stream, step, whole.views());
  }
  const tests::Threads two(2);
  const int64_t cuts[] = {0, 64, 4160, 9001, n};
  for (size_t part = 0; part + 1 < std::size(cuts); ++part) {
    const int64_t begin = cuts[part];
    const int64_t count = cuts[part + 1] - begin;
    const AdamWViews views = split.views();
    adamw_update(stream, step,
                 {.parameter = views.parameter.rows(begin, count),
                  .gradient = views.gradient.rows(begin, count),
                  .m = views.m.rows(begin, count),
                  .v = views.v.rows(begin, count)});
  }
  EXPECT_TRUE(same_bits(split.parameter, whole.parameter));
  EXPECT_TRUE(same_bits(split.m, whole.m));
  EXPECT_TRUE(same_bits(split.v, whole.v));
}

TEST(AdamW, ComputeTwinIsTheRoundedMasterWhichItDoesNotChange) {
  tests::Random random;
  for (const int64_t n : {1, 15, 64, 3 * 4096 + 77}) {
    Case alone(random, n);
    Case with_twin = alone;
    Stream stream(Device::cpu);
    AdamWStep step = kStep;
    for (step.update = 1; step.update <= 3; ++step.update) {
      alone.gradient = random.normals({n}, 30);
      with_twin.gradient = alone.gradient;
      adamw_update(stream, step, alone.views());
      for (const int threads : {1, 2, 3}) {
        const tests::Threads guard(threads);
        Case attempt = with_twin;
        Tensor<bf16> compute = poisoned<bf16>({n});
        AdamWViews views = attempt.views();
        views.compute = compute.view();
        adamw_update(stream, step, views);
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(compute[i].bits, bf16(attempt.parameter[i]).bits) << i << " of " << n;
        EXPECT_TRUE(same_bits(attempt.parameter, alone.parameter)) << n;
        EXPECT_TRUE(same_bits(attempt.m, alone.m)) << n;
        EXPECT_TRUE(same_bits(attempt.v, alone.v)) << n;
        EXPECT_EQ(attempt.gradient.values, std::vector<float>(static_cast<size_t>(n), 0.0f));
      }
      with_twin = alone;
    }
  }
}

TEST(AdamW, NotFiniteGradientShows) {
  for (const float bad : {NAN, INFINITY}) {
    tests::Random random;
    Case given(random, 40);
    given.gradient[35] = bad;
    Stream stream(Device::cpu);
    adamw_update(stream, kStep, given.views());
    for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(std::isfinite(given.parameter[i]), i != 35) << i;
  }
}

TEST(AdamW, DryCostsWhatCpuCosts) {
  tests::Random random;
  Case given(random, 40);
  Stream cpu(Device::cpu);
  Stream dry(Device::dry);
  adamw_update(cpu, kStep, given.views());
  const View view = tests::dry_view({40});
  adamw_update(dry, kStep, {.parameter = view, .gradient = view, .m = view, .v = view});
  tests::expect_cost(cpu, dry, {.op = "adamw_update", .flops = 17 * 40, .bytes = 32 * 40});

  Tensor<bf16> compute({40});
  AdamWViews views = given.views();
  views.compute = compute.view();
  Stream cpu_twin(Device::cpu);
  Stream dry_twin(Device::dry);
  adamw_update(cpu_twin, kStep, views);
  adamw_update(
      dry_twin, kStep,
      {.parameter = view, .gradient = view, .m = view, .v = view, .compute = tests::dry_view({40}, DType::bf16)});
  tests::expect_cost(cpu_twin, dry_twin, {.op = "adamw_update", .flops = 17 * 40, .bytes = 34 * 40});
}

TEST(AdamW, WrongShapesAreNamed) {
  tests::Random random;
  Case given(random, 40);
  Stream stream(Device::cpu);
  AdamWViews views = given.views();
  views.compute = given.parameter.view();
  EXPECT_EQ(tests::error_message([&] { adamw_update(stream, kStep, views); }),
            "adamw_update: compute is (40) fp32, expected (40) bf16");
  views.v = views.v.rows(0, 39);
  EXPECT_EQ(tests::error_message([&] { adamw_update(stream, kStep, views); }),
            "adamw_update: v is (39) fp32, expected (40) fp32");
  views.parameter = views.parameter.reshaped({4, 10});
  EXPECT_EQ(tests::error_message([&] { adamw_update(stream, kStep, views); }),
            "adamw_update: parameter is (4, 10) fp32, expected 1 axis");
}

}  // namespace
}  // namespace trireme::runtime
