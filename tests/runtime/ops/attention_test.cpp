#include "runtime/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/reference/attention.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/tensors.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::Random;
using tests::relative_error;
using tests::Tensor;

// Weighted means of fp32 values: rounding of the scores (|score| of a few, sums of D products) dominates, about 1e-6.
constexpr double kTolerance = 1e-5;

/// Scratch whose bytes are NaN, as stale scratch may be.
Arena poisoned_scratch() {
  constexpr int64_t kBytes = 8 << 20;
  Arena arena = Arena::host("scratch", kBytes);
  const View all = arena.allocate(DType::fp32, {kBytes / 4});
  std::fill_n(all.as<float>(), all.elements(), std::numeric_limits<float>::quiet_NaN());
  arena.reset();
  return arena;
}

struct Results {
  Tensor<float> y;
  Tensor<float> log_sum_exp;
  Tensor<float> dqkv;
};

Results run_attention(const AttentionShape& shape, const Tensor<float>& qkv, const Tensor<float>& dy) {
  Stream stream(Device::cpu);
  Arena scratch = poisoned_scratch();
  Results results{poisoned(dy.shape), poisoned({shape.B, shape.H, shape.T}), poisoned(qkv.shape)};
  attention_forward(stream, shape, qkv.view(), results.y.view(), results.log_sum_exp.view(), scratch);
  const Tensor<float>& y = results.y;
  const Tensor<float>& log_sum_exp = results.log_sum_exp;
  attention_backward(stream, shape,
                     {.qkv = qkv.view(),
                      .y = y.view(),
                      .log_sum_exp = log_sum_exp.view(),
                      .dy = dy.view(),
                      .dqkv = results.dqkv.view()},
                     scratch);
  EXPECT_EQ(scratch.used_bytes(), 0);
  return results;
}

Tensor<float> random_qkv(Random& random, const AttentionShape& shape) {
  return random.normals({shape.B * shape.T, (shape.H + 2 * shape.K) * shape.D});
}

class Attention : public testing::TestWithParam<AttentionShape> {};

TEST_P(Attention, ForwardAndBackwardMatchFloat64) {
  const AttentionShape shape = GetParam();
  Random random;
  const Tensor<float> qkv = random_qkv(random, shape);
  const Tensor<float> dy = random.normals({shape.B * shape.T, shape.H * shape.D});
  const tests::AttentionReference expected =
      tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy));
  const Results results = run_attention(shape, qkv, dy);
  EXPECT_LE(relative_error(results.y, expected.y), kTolerance);
  EXPECT_LE(relative_error(results.log_sum_exp, expected.log_sum_exp), kTolerance);
  EXPECT_LE(relative_error(results.dqkv, expected.dqkv), kTolerance);
}

TEST_P(Attention, ThreadsDoNotChangeABit) {
  const AttentionShape shape = GetParam();
  Random random;
  const Tensor<float> qkv = random_qkv(random, shape);
  const Tensor<float> dy = random.normals({shape.B * shape.T, shape.H * shape.D});
  std::vector<Results> results;
  for (const int threads : {1, 2, 3}) {
    const tests::Threads guard(threads);
    results.push_back(run_attention(shape, qkv, dy));
  }
  for (size_t i = 1; i < results.size(); ++i) {
    EXPECT_EQ(results[i].y.values, results[0].y.values);
    EXPECT_EQ(results[i].log_sum_exp.values, results[0].log_sum_exp.values);
    EXPECT_EQ(results[i].dqkv.values, results[0].dqkv.values);
  }
}

// A prompt, then steps of one and of several tokens, against the whole sequence at once.
TEST_P(Attention, CachedStepsMatchTheWholeSequence) {
  const AttentionShape shape = GetParam();
  const auto [B, T, H, K, D] = shape;
  Random random;
  Stream stream(Device::cpu);
  const Tensor<float> qkv = random_qkv(random, shape);
  const Tensor<float> expected = run_attention(shape, qkv, poisoned({B * T, H * D})).y;
  const int64_t T_max = T + random.below(3);
  Tensor<float> key_cache = poisoned({B, T_max, K, D});
  Tensor<float> value_cache = poisoned({B, T_max, K, D});
  Arena scratch = poisoned_scratch();
  const int64_t row = (H + 2 * K) * D;
  for (int64_t past = 0, step = 1 + random.below(T); past < T; past += step, step = 1 + random.below(T - past + 1)) {
    if (past > 0 && random.below(2) == 0) step = 1;
    step = std::min(step, T - past);
    Tensor<float> new_qkv({B * step, row});
    for (int64_t b = 0; b < B; ++b) {
      std::copy_n(&qkv[(b * T + past) * row], step * row, &new_qkv[b * step * row]);
    }
    Tensor<float> y = poisoned({B * step, H * D});
    cached_attention(stream, {.B = B, .T = step, .H = H, .K = K, .D = D},
                     {.qkv = new_qkv.view(),
                      .key_cache = key_cache.view(),
                      .value_cache = value_cache.view(),
                      .past = past,
                      .y = y.view()},
                     scratch);
    std::vector<double> wanted;
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t i = 0; i < step * H * D; ++i) wanted.push_back(expected[(b * T + past) * H * D + i]);
    }
    // The same sums in another order, in fp32: about sqrt(D) * 6e-8 in a score, which exp hands on; seen: 1.05e-6.
    ASSERT_LE(relative_error(y, wanted), 5e-6) << "past " << past << " step " << step;
    if (past + step == T) break;
  }
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t i = 0; i < K * D; ++i) {
      ASSERT_EQ(key_cache[t * K * D + i], qkv[t * row + H * D + i]);
      ASSERT_EQ(value_cache[t * K * D + i], qkv[t * row + (H + K) * D + i]);
    }
  }
}

std::string shape_name(const testing::TestParamInfo<AttentionShape>& tested) {
  const auto [B, T, H, K, D] = tested.param;
  std::ostringstream text;
  text << "B" << B << "_T" << T << "_H" << H << "_K" << K << "_D" << D;
  return text.str();
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(AttentionShape{1, 1, 1, 1, 1}, AttentionShape{2, 1, 4, 2, 40},
                                         AttentionShape{1, 5, 3, 1, 7}, AttentionShape{2, 64, 2, 2, 64},
                                         AttentionShape{1, 65, 4, 2, 40}, AttentionShape{1, 130, 2, 1, 128},
                                         AttentionShape{3, 33, 2, 2, 16}, AttentionShape{1, 203, 6, 3, 72}),
                         shape_name);

TEST(AttentionReference, GradientIsTheSlopeOfTheLoss) {
  const AttentionShape shape{1, 6, 2, 1, 3};
  Random random;
  std::vector<double> qkv = tests::to_double(random_qkv(random, shape));
  const std::vector<double> dy = tests::to_double(random.normals({6, 6}));
  const auto loss = [&] {
    const std::vector<double> y = tests::attention_reference(shape, qkv, dy).y;
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const std::vector<double> gradient = tests::attention_reference(shape, qkv, dy).dqkv;
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < qkv.size(); ++i) {
    const double value = qkv[i];
    qkv[i] = value + kStep;
    const double above = loss();
    qkv[i] = value - kStep;
    const double slope = (above - loss()) / (2 * kStep);
    qkv[i] = value;
    // step^2 times a third derivative of order 10, and float64 rounding / step.
    ASSERT_NEAR(gradient[i], slope, 1e-8) << i;
  }
}

// Scores of +-1000 overflow exp unless the largest one is taken off first; here each query prefers one key alone.
TEST(AttentionExtremes, LargeScoresStayFinite) {
  const AttentionShape shape{1, 70, 1, 1, 16};
  Random random;
  Tensor<float> qkv = random_qkv(random, shape);
  for (int64_t t = 0; t < shape.T; ++t) {
    for (int64_t i = 0; i < 32; ++i) qkv[t * 48 + i] *= 30;
  }
  const Tensor<float> dy = random.normals({70, 16});
  const tests::AttentionReference expected =
      tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy));
  const Results results = run_attention(shape, qkv, dy);
  // Scores of 1000 are rounded by 1000 * 6e-8 before exp, and so are gradients of 30 times the size.
  EXPECT_LE(relative_error(results.y, expected.y), 1e-3);
  EXPECT_LE(relative_error(results.dqkv, expected.dqkv), 1e-3);
}

TEST(AttentionExtremes, NaNIsNotHidden) {
  const AttentionShape shape{1, 20, 1, 1, 16};
  Random random;
  Tensor<float> qkv = random_qkv(random, shape);
  qkv[7 * 48] = std::numeric_limits<float>::quiet_NaN();  // query 7
  const Results results = run_attention(shape, qkv, random.normals({20, 16}));
  for (int64_t t = 0; t < 20; ++t) EXPECT_EQ(std::isnan(results.y[t * 16]), t == 7) << t;
}

TEST(AttentionCost, DryUsesTheScratchAndStatesTheCostOfCpu) {
  const AttentionShape shape{2, 100, 4, 2, 24};
  const tests::Threads guard(2);
  Stream cpu(Device::cpu);
  Stream dry(Device::dry);
  Arena cpu_scratch = Arena::host("scratch", 8 << 20);
  Arena dry_scratch = Arena::dry("scratch");
  Tensor<float> qkv({200, 8 * 24});
  Tensor<float> y({200, 4 * 24});
  Tensor<float> log_sum_exp({2, 4, 100});
  Tensor<float> cache({2, 150, 2, 24});
  const View dry_qkv = tests::dry_view(qkv.shape);
  const View dry_y = tests::dry_view(y.shape);
  const View dry_lse = tests::dry_view(log_sum_exp.shape);
  const View dry_cache = tests::dry_view(cache.shape);
  attention_forward(cpu, shape, qkv.view(), y.view(), log_sum_exp.view(), cpu_scratch);
  attention_forward(dry, shape, dry_qkv, dry_y, dry_lse, dry_scratch);
  EXPECT_EQ(cpu_scratch.peak_bytes(), dry_scratch.peak_bytes());
  cached_attention(cpu, shape, {qkv.view(), cache.view(), cache.view(), 50, y.view()}, cpu_scratch);
  cached_attention(dry, shape, {dry_qkv, dry_cache, dry_cache, 50, dry_y}, dry_scratch);
  EXPECT_EQ(cpu_scratch.peak_bytes(), dry_scratch.peak_bytes());
  attention_backward(cpu, shape, {qkv.view(), y.view(), log_sum_exp.view(), y.view(), qkv.view()}, cpu_scratch);
  attention_backward(dry, shape, {dry_qkv, dry_y, dry_lse, dry_y, dry_qkv}, dry_scratch);
  EXPECT_EQ(cpu_scratch.peak_bytes(), dry_scratch.peak_bytes());
  EXPECT_GT(dry_scratch.peak_bytes(), 0);
  EXPECT_EQ(dry_scratch.used_bytes(), 0);

  EXPECT_EQ(cpu.costs().by_op(), dry.costs().by_op());
  const auto& costs = dry.costs().by_op();
  const int64_t pairs = 2 * 4 * 24 * 5050;  // B H D T(T+1)/2
  const int64_t qkv_bytes = 200 * 8 * 24 * 4;
  const int64_t y_bytes = 200 * 4 * 24 * 4;
  const int64_t lse_bytes = 2 * 4 * 100 * 4;
  EXPECT_EQ(costs.at("attention_forward"), (CostRecord::Total{1, 4 * pairs, qkv_bytes + y_bytes + lse_bytes}));
  EXPECT_EQ(costs.at("attention_backward"),
            (CostRecord::Total{1, 10 * pairs, 2 * qkv_bytes + 2 * y_bytes + lse_bytes, 2 * pairs}));
  EXPECT_EQ(costs.at("cached_attention"), (CostRecord::Total{1, 4 * (pairs + 2 * 4 * 24 * 100 * 50),
                                                             qkv_bytes + y_bytes + 2 * 2 * 150 * 2 * 24 * 4}));
}

TEST(AttentionShapes, WrongOnesNameTheOperand) {
  Stream stream(Device::dry);
  Arena scratch = Arena::dry("scratch");
  const AttentionShape shape{1, 10, 4, 2, 8};
  const View qkv = tests::dry_view({10, 64});
  const View y = tests::dry_view({10, 32});
  const View log_sum_exp = tests::dry_view({1, 4, 10});
  const View cache = tests::dry_view({1, 12, 2, 8});
  EXPECT_EQ(tests::error_message([&] { attention_forward(stream, shape, y, y, log_sum_exp, scratch); }),
            "attention_forward: qkv is (10, 32) fp32, expected (10, 64) fp32");
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, {1, 10, 3, 2, 8}, qkv, y, log_sum_exp, scratch);
            }),
            "attention_forward: 3 query heads are not a multiple of 2 key/value heads");
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, {1, 0, 3, 2, 8}, qkv, y, log_sum_exp, scratch);
            }),
            "attention_forward: B, T, H, K, D are (1, 0, 3, 2) and 8, expected at least 1 each");
  EXPECT_EQ(tests::error_message([&] {
              attention_backward(stream, shape, {qkv, y, log_sum_exp, qkv, qkv}, scratch);
            }),
            "attention_backward: dy is (10, 64) fp32, expected (10, 32) fp32");
  EXPECT_EQ(tests::error_message([&] {
              cached_attention(stream, shape, {qkv, cache, cache, 3, y}, scratch);
            }),
            "cached_attention: 10 tokens after 3 do not fit a cache of 12");
  EXPECT_EQ(tests::error_message([&] {
              cached_attention(stream, shape, {qkv, cache, y, 0, y}, scratch);
            }),
            "cached_attention: value_cache is (10, 32) fp32, expected (1, 12, 2, 8) fp32");
}

}  // namespace
}  // namespace trireme::runtime
