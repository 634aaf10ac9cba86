#include "runtime/ops/adamw.h"

#include "tests/reference/adamw.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::same_bits;
using tests::Tensor;

/// Options of one update as optimizers are usually given them.
struct Step {
  float learning_rate = 0;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-8f;
  float weight_decay = 0;
  float gradient_scale = 1;
  int64_t update = 1;

  AdamWConstants constants() const {
    return {.beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .weight_decay = weight_decay};
  }
};

struct Case {
  Tensor<float> parameter, gradient, m, v, schedule;

  Case(tests::Random& random, int64_t n)
      : parameter(random.normals({n})), gradient({n}), m({n}), v({n}), schedule({4}) {}
  AdamWViews views(const Step& step) {
    std::ranges::copy(adamw_schedule(step.learning_rate, step.beta1, step.beta2, step.update), schedule.values.begin());
    schedule[3] = step.gradient_scale;
    return {.parameter = parameter.view(),
            .gradient = gradient.view(),
            .m = m.view(),
            .v = v.view(),
            .schedule = std::as_const(schedule).view()};
  }
};

constexpr Step kStep = {.learning_rate = 0.1f,
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
      Step step = kStep;
      step.update = update;
      Stream stream(tests::device());
      adamw_update(stream, step.constants(), given.views(step));
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
  Stream stream(tests::device());
  const Step step{.learning_rate = 0.5f, .beta2 = 0.999f, .gradient_scale = 1e-3f};
  adamw_update(stream, step.constants(), given.views(step));
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
  Stream stream(tests::device());
  Step step = kStep;
  step.update = 7;
  {
    const tests::Threads one(1);
    adamw_update(stream, step.constants(), whole.views(step));
  }
  const tests::Threads two(2);
  const int64_t cuts[] = {0, 64, 4160, 9001, n};
  for (size_t part = 0; part + 1 < std::size(cuts); ++part) {
    const int64_t begin = cuts[part];
    const int64_t count = cuts[part + 1] - begin;
    const AdamWViews views = split.views(step);
    adamw_update(stream, step.constants(),
                 {.parameter = views.parameter.rows(begin, count),
                  .gradient = views.gradient.rows(begin, count),
                  .m = views.m.rows(begin, count),
                  .v = views.v.rows(begin, count),
                  .schedule = views.schedule});
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
    Stream stream(tests::device());
    Step step = kStep;
    for (step.update = 1; step.update <= 3; ++step.update) {
      alone.gradient = random.normals({n}, 30);
      with_twin.gradient = alone.gradient;
      adamw_update(stream, step.constants(), alone.views(step));
      for (const int threads : {1, 2, 3}) {
        const tests::Threads guard(threads);
        Case attempt = with_twin;
        Tensor<bf16> compute = poisoned<bf16>({n});
        AdamWViews views = attempt.views(step);
        views.compute = compute.view();
        adamw_update(stream, step.constants(), views);
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

/// A case in the middle of a training.
Case case_under_way(tests::Random& random, int64_t n) {
  Case given(random, n);
  given.gradient = random.normals({n});
  given.m = random.normals({n});
  for (float& value : given.v.values) value = random.uniform(0, 1);
  return given;
}

/// The same update over elements [begin, end) of the views alone.
AdamWViews part_of(const AdamWViews& views, int64_t begin, int64_t end) {
  return {.parameter = views.parameter.rows(begin, end - begin),
          .gradient = views.gradient.rows(begin, end - begin),
          .m = views.m.rows(begin, end - begin),
          .v = views.v.rows(begin, end - begin),
          .compute = views.compute.rows(begin, end - begin),
          .schedule = views.schedule};
}

TEST(AdamW, UndecayedRangesEqualTheCallsTheyStandFor) {
  tests::Random random;
  constexpr int64_t kCount = 2 * 4096 + 77;
  // Within one vector of a kernel, over whole blocks, side by side, empty, up to the end.
  const std::vector<std::vector<ElementRange>> all_ranges = {
      {}, {{0, kCount}}, {{1, 3}, {3, 4}, {6, 6}, {7, 1100}, {2049, 4096}, {4100, 4101}, {8000, 8200}, {8201, kCount}}};
  for (const std::vector<ElementRange>& ranges : all_ranges) {
    Case together = case_under_way(random, kCount);
    Case in_parts = together;
    Tensor<bf16> compute = poisoned<bf16>({kCount});
    Tensor<bf16> compute_in_parts = poisoned<bf16>({kCount});
    Stream stream(tests::device());
    AdamWConstants constants = kStep.constants();
    constants.undecayed = ranges;
    AdamWViews views = together.views(kStep);
    views.compute = compute.view();
    adamw_update(stream, constants, views);

    views = in_parts.views(kStep);
    views.compute = compute_in_parts.view();
    const AdamWConstants decayed = kStep.constants();
    AdamWConstants undecayed = decayed;
    undecayed.weight_decay = 0;
    int64_t done = 0;
    for (const ElementRange& range : ranges) {
      adamw_update(stream, decayed, part_of(views, done, range.begin));
      adamw_update(stream, undecayed, part_of(views, range.begin, range.end));
      done = range.end;
    }
    adamw_update(stream, decayed, part_of(views, done, kCount));
    EXPECT_TRUE(same_bits(together.parameter, in_parts.parameter)) << ranges.size();
    EXPECT_TRUE(same_bits(compute, compute_in_parts)) << ranges.size();
    EXPECT_TRUE(same_bits(together.m, in_parts.m)) << ranges.size();
    EXPECT_TRUE(same_bits(together.v, in_parts.v)) << ranges.size();
  }
}

TEST(AdamW, ScaleOfZeroOnlyClearsTheGradient) {
  tests::Random random;
  for (const int64_t n : {1, 64, 4096 + 17}) {
    Case given = case_under_way(random, n);
    given.gradient[n / 2] = NAN;
    const Case before = given;
    Tensor<bf16> compute = random.normals<bf16>({n});
    const Tensor<bf16> compute_before = compute;
    Step step = kStep;
    step.gradient_scale = 0;
    AdamWViews views = given.views(step);
    views.compute = compute.view();
    Stream stream(tests::device());
    adamw_update(stream, step.constants(), views);
    EXPECT_TRUE(same_bits(given.parameter, before.parameter));
    EXPECT_TRUE(same_bits(given.m, before.m));
    EXPECT_TRUE(same_bits(given.v, before.v));
    EXPECT_TRUE(same_bits(compute, compute_before));
    EXPECT_EQ(given.gradient.values, std::vector<float>(static_cast<size_t>(n), 0.0f));
  }
}

/// What the device makes of it; and the host says the same.
float scale_for(double clip_grad_norm, double loss, double count, double squares, const UpdateLimits& limits = {}) {
  Tensor<double> totals({3});
  totals.values = {loss, count, squares};
  Tensor<float> limit_values({2});
  limit_values.values = {limits.loss, limits.grad_norm};
  Tensor<float> scale = poisoned({1});
  Stream stream(tests::device());
  update_scale(stream, clip_grad_norm, std::as_const(totals).view(), std::as_const(limit_values).view(), scale.view());
  EXPECT_EQ(judge_update(std::vector{loss, count, squares}, limits) == UpdateVerdict::made, scale[0] != 0.0f);
  return scale[0];
}

// 1e-7: computed in fp64 and rounded once to fp32, by 6e-8 at most.
TEST(UpdateScale, DividesByTheCountAndClips) {
  EXPECT_NEAR(scale_for(0, 12, 4, 1e30), 1.0 / 4, 1e-7 / 4);  // clip off
  EXPECT_NEAR(scale_for(1, 12, 4, 4), 1.0 / 4, 1e-7 / 4);     // the norm of the mean is 1/2
  EXPECT_NEAR(scale_for(1, 12, 3, 0), 1.0 / 3, 1e-7 / 3);
  EXPECT_NEAR(scale_for(0.5, -12, 4, 36), 0.5 / (1.5 + 1e-6) / 4, 1e-7 / 12);  // 6 / 4 is clipped to 1/2
  EXPECT_NEAR(scale_for(1, 3, 1, 1), 1 / (1 + 1e-6), 1e-7);                    // PyTorch's 1e-6 shows from 1 on
}

TEST(UpdateScale, IsZeroWhereLossOrGradientIsNotFinite) {
  for (const double clip : {0.0, 1.0}) {
    for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)}) {
      EXPECT_EQ(scale_for(clip, bad, 4, 36), 0.0f) << bad;
      EXPECT_EQ(scale_for(clip, 12, 4, bad), 0.0f) << bad;
    }
    EXPECT_EQ(scale_for(clip, 0, 0, 0), 0.0f);  // no target at all
    EXPECT_EQ(scale_for(clip, 12, 0, 36), 0.0f);
  }
}

// The mean loss is 3, the norm 1.5: the limits themselves are still good, and only what lies above is not.
TEST(UpdateScale, IsZeroAboveTheLimits) {
  const auto verdict = [](const UpdateLimits& limits, double loss = 12) {
    const double totals[] = {loss, 4, 36};
    EXPECT_EQ(scale_for(0, loss, 4, 36, limits) == 0.0f, judge_update(totals, limits) != UpdateVerdict::made);
    return judge_update(totals, limits);
  };
  EXPECT_EQ(verdict({}), UpdateVerdict::made);
  EXPECT_EQ(verdict({.loss = 3, .grad_norm = 1.5f}), UpdateVerdict::made);
  EXPECT_EQ(verdict({.loss = 2.999f}), UpdateVerdict::outlier_loss);
  EXPECT_EQ(verdict({.grad_norm = 1.499f}), UpdateVerdict::outlier_grad_norm);
  EXPECT_EQ(verdict({.loss = 2.999f, .grad_norm = 1.499f}), UpdateVerdict::outlier_loss);
  EXPECT_EQ(verdict({.loss = 3}, -1e9), UpdateVerdict::made);  // only upwards
  EXPECT_EQ(verdict({.loss = 3}, NAN), UpdateVerdict::not_finite);
  EXPECT_EQ(verdict({.loss = 3}, INFINITY), UpdateVerdict::not_finite);
  EXPECT_EQ(name(UpdateVerdict::outlier_grad_norm), "outlier_grad_norm");
}

TEST(UpdateScale, DryCostsWhatCpuCosts) {
  Tensor<double> totals({3}, 1);
  Tensor<float> limits({2}, 1);
  Tensor<float> scale({1});
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  update_scale(cpu, 1, std::as_const(totals).view(), std::as_const(limits).view(), scale.view());
  const auto dry_message = [&](DType totals_dtype, int64_t limits_count, int64_t scale_count) {
    return tests::error_message([&] {
      update_scale(dry, 1, tests::dry_view({3}, totals_dtype), tests::dry_view({limits_count}),
                   tests::dry_view({scale_count}));
    });
  };
  update_scale(dry, 1, tests::dry_view({3}, DType::fp64), tests::dry_view({2}), tests::dry_view({1}));
  tests::expect_cost(cpu, dry, {.op = "update_scale", .flops = 0, .bytes = 36});
  EXPECT_EQ(dry_message(DType::fp32, 2, 1), "update_scale: totals is (3) fp32, expected (3) fp64");
  EXPECT_EQ(dry_message(DType::fp64, 1, 1), "update_scale: limits is (1) fp32, expected (2) fp32");
  EXPECT_EQ(dry_message(DType::fp64, 2, 2), "update_scale: scale is (2) fp32, expected (1) fp32");
}

TEST(AdamW, NotFiniteGradientShows) {
  for (const float bad : {NAN, INFINITY}) {
    tests::Random random;
    Case given(random, 40);
    given.gradient[35] = bad;
    Stream stream(tests::device());
    adamw_update(stream, kStep.constants(), given.views(kStep));
    for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(std::isfinite(given.parameter[i]), i != 35) << i;
  }
}

TEST(AdamW, DryCostsWhatCpuCosts) {
  tests::Random random;
  Case given(random, 40);
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  adamw_update(cpu, kStep.constants(), given.views(kStep));
  const View view = tests::dry_view({40});
  adamw_update(dry, kStep.constants(),
               {.parameter = view, .gradient = view, .m = view, .v = view, .schedule = tests::dry_view({4})});
  tests::expect_cost(cpu, dry, {.op = "adamw_update", .flops = 17 * 40, .bytes = 32 * 40});

  Tensor<bf16> compute({40});
  AdamWViews views = given.views(kStep);
  views.compute = compute.view();
  Stream cpu_twin(tests::device());
  Stream dry_twin(Device::dry);
  adamw_update(cpu_twin, kStep.constants(), views);
  adamw_update(dry_twin, kStep.constants(),
               {.parameter = view,
                .gradient = view,
                .m = view,
                .v = view,
                .compute = tests::dry_view({40}, DType::bf16),
                .schedule = tests::dry_view({4})});
  tests::expect_cost(cpu_twin, dry_twin, {.op = "adamw_update", .flops = 17 * 40, .bytes = 34 * 40});
}

TEST(AdamW, WrongShapesAreNamed) {
  tests::Random random;
  Case given(random, 40);
  Stream stream(tests::device());
  AdamWViews views = given.views(kStep);
  views.compute = given.parameter.view();
  EXPECT_EQ(tests::error_message([&] { adamw_update(stream, kStep.constants(), views); }),
            "adamw_update: compute is (40) fp32, expected (40) bf16");
  views.v = views.v.rows(0, 39);
  EXPECT_EQ(tests::error_message([&] { adamw_update(stream, kStep.constants(), views); }),
            "adamw_update: v is (39) fp32, expected (40) fp32");
  views.parameter = views.parameter.reshaped({4, 10});
  EXPECT_EQ(tests::error_message([&] { adamw_update(stream, kStep.constants(), views); }),
            "adamw_update: parameter is (4, 10) fp32, expected 1 axis");
}

TEST(AdamW, WrongRangesAreNamed) {
  tests::Random random;
  Case given(random, 40);
  Stream stream(tests::device());
  const auto message = [&](const std::vector<ElementRange>& ranges) {
    AdamWConstants constants = kStep.constants();
    constants.undecayed = ranges;
    return tests::error_message([&] { adamw_update(stream, constants, given.views(kStep)); });
  };
  EXPECT_EQ(message(std::vector<ElementRange>(9)), "adamw_update: 9 undecayed ranges, expected at most 8");
  EXPECT_EQ(message({{0, 10}, {9, 20}}), "adamw_update: undecayed range [9, 20), expected ascending ranges within 40");
  EXPECT_EQ(message({{10, 5}}), "adamw_update: undecayed range [10, 5), expected ascending ranges within 40");
  EXPECT_EQ(message({{10, 41}}), "adamw_update: undecayed range [10, 41), expected ascending ranges within 40");
}

}  // namespace
}  // namespace trireme::runtime
