#include "runtime/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/reference/attention.h"
#include "tests/reference/attention_runs.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/tensors.h"

namespace trireme::runtime {
namespace {

using tests::described;
using tests::kStorageTolerance;
using tests::poisoned;
using tests::poisoned_attention_scratch;
using tests::Random;
using tests::random_dy;
using tests::random_qkv;
using tests::relative_error;
using tests::run_attention;
using tests::same_bits;
using tests::Tensor;

template <typename T>
class Attention : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Attention, Storages);

/// Widths and lengths around a tile of 64 and a vector of 16, one key/value head for all queries or one for each.
constexpr AttentionShape kShapes[] = {
    {.B = 1, .T = 1, .H = 1, .K = 1, .D = 1},    {.B = 2, .T = 1, .H = 4, .K = 2, .D = 40},
    {.B = 1, .T = 5, .H = 3, .K = 1, .D = 7},    {.B = 2, .T = 64, .H = 2, .K = 2, .D = 64},
    {.B = 1, .T = 65, .H = 4, .K = 2, .D = 40},  {.B = 1, .T = 130, .H = 2, .K = 1, .D = 128},
    {.B = 3, .T = 33, .H = 2, .K = 2, .D = 16},  {.B = 1, .T = 203, .H = 6, .K = 3, .D = 72},
    {.B = 2, .T = 33, .H = 4, .K = 1, .D = 40},  {.B = 2, .T = 1, .H = 5, .K = 1, .D = 64},
    {.B = 1, .T = 130, .H = 5, .K = 1, .D = 40}, {.B = 2, .T = 130, .H = 5, .K = 5, .D = 64},
};

TYPED_TEST(Attention, ForwardAndBackwardMatchFloat64) {
  Random random;
  for (const AttentionShape& shape : kShapes) {
    SCOPED_TRACE(described(shape));
    const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
    const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
    const tests::AttentionReference expected =
        tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy));
    expect_matches(run_attention(shape, qkv, dy), expected);
  }
}

// Nothing is rounded before the result is stored: bf16 is fp32 on the same numbers, rounded once. But tensor cores take
// rounded probabilities.
TEST(AttentionStorage, Bf16ForwardIsFp32Rounded) {
  Random random;
  for (const AttentionShape& shape : kShapes) {
    if (tests::device() == Device::cuda && (shape.D == 64 || shape.D == 128)) continue;
    SCOPED_TRACE(described(shape));
    const Tensor<bf16> qkv = random_qkv<bf16>(random, shape);
    Tensor<float> wide_qkv(qkv.shape);
    std::ranges::copy(qkv.values, wide_qkv.values.begin());
    const Shape y_shape{shape.B * shape.T, shape.H * shape.D};
    const tests::AttentionResults<bf16> narrow = run_attention(shape, qkv, Tensor<bf16>(y_shape));
    const tests::AttentionResults<float> wide = run_attention(shape, wide_qkv, Tensor<float>(y_shape));
    Tensor<bf16> rounded(y_shape);
    std::ranges::copy(wide.y.values, rounded.values.begin());
    EXPECT_TRUE(same_bits(narrow.y, rounded));
    EXPECT_TRUE(same_bits(narrow.log_sum_exp, wide.log_sum_exp));
  }
}

TYPED_TEST(Attention, ThreadsDoNotChangeABit) {
  if (tests::device() != Device::cpu) GTEST_SKIP() << "threads of the host compute nothing";
  Random random;
  for (const AttentionShape& shape : kShapes) {
    SCOPED_TRACE(described(shape));
    const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
    const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
    std::vector<tests::AttentionResults<TypeParam>> results;
    for (const int threads : {1, 2, 3}) {
      const tests::Threads guard(threads);
      results.push_back(run_attention(shape, qkv, dy));
    }
    for (size_t i = 1; i < results.size(); ++i) expect_same_bits(results[i], results[0]);
  }
}

/// The same sums in another order, in fp32: about sqrt(D) * 6e-8 in a score, which exp hands on; seen: 1.05e-6. In bf16
/// that now and then moves a value to its neighbour, 2^-7 away at most; 2^-8 is a quarter of the values.
template <typename T>
constexpr double kReorderedTolerance = std::is_same_v<T, bf16> ? 0x1p-8 : 5e-6;

// A prompt, then steps of one and of several tokens, against the whole sequence at once.
template <typename T>
void expect_cached_steps_match(Random& random, const AttentionShape& shape) {
  const auto [B, tokens, H, K, D] = shape;
  Stream stream(tests::device());
  const Tensor<T> qkv = random_qkv<T>(random, shape);
  const Tensor<T> expected = run_attention(shape, qkv, poisoned<T>({B * tokens, H * D})).y;
  const int64_t T_max = tokens + random.below(3);
  Tensor<T> key_cache = poisoned<T>({B, T_max, K, D});
  Tensor<T> value_cache = poisoned<T>({B, T_max, K, D});
  Arena scratch = poisoned_attention_scratch(shape);
  const int64_t row = (H + 2 * K) * D;
  for (int64_t past = 0, step = 0; past < tokens; past += step) {
    step = past > 0 && random.below(2) == 0 ? 1 : 1 + random.below(tokens - past);
    Tensor<T> new_qkv({B * step, row});
    for (int64_t b = 0; b < B; ++b) {
      std::copy_n(&qkv[(b * tokens + past) * row], step * row, &new_qkv[b * step * row]);
    }
    Tensor<T> y = poisoned<T>({B * step, H * D});
    cached_attention(stream, {.B = B, .T = step, .H = H, .K = K, .D = D},
                     {.qkv = new_qkv.view(),
                      .key_cache = key_cache.view(),
                      .value_cache = value_cache.view(),
                      .past = past,
                      .y = y.view()},
                     scratch);
    std::vector<double> wanted;
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t i = 0; i < step * H * D; ++i) wanted.push_back(expected[(b * tokens + past) * H * D + i]);
    }
    ASSERT_LE(relative_error(y, wanted), kReorderedTolerance<T>) << "past " << past << " step " << step;
  }
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t i = 0; i < K * D; ++i) {
        const int64_t cached = (b * T_max + t) * K * D + i;
        const int64_t given = (b * tokens + t) * row + H * D + i;
        ASSERT_EQ(key_cache[cached], qkv[given]);
        ASSERT_EQ(value_cache[cached], qkv[given + K * D]);
      }
    }
  }
}
TYPED_TEST(Attention, CachedStepsMatchTheWholeSequence) {
  Random random;
  for (const AttentionShape& shape : kShapes) {
    SCOPED_TRACE(described(shape));
    expect_cached_steps_match<TypeParam>(random, shape);
  }
}

TEST(AttentionReference, GradientIsTheSlopeOfTheLoss) {
  const AttentionShape shape{1, 6, 2, 1, 3};
  Random random;
  std::vector<double> qkv = tests::to_double(random_qkv<float>(random, shape));
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

/// Scores of 1000 are rounded by 1000 * 6e-8 before exp, and so are gradients of 30 times the size. In bf16 the
/// rounding of y, 2^-8, reaches the gradients of the scores, which are small differences here.
template <typename T>
constexpr double kLargeScoreTolerance = std::is_same_v<T, bf16> ? 5e-2 : 1e-3;

// Scores of +-1000 overflow exp unless the largest one is taken off first; here each query prefers one key alone.
TYPED_TEST(Attention, LargeScoresStayFinite) {
  const AttentionShape shape{.B = 1, .T = 70, .H = 1, .K = 1, .D = 16};
  Random random;
  Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
  for (int64_t t = 0; t < shape.T; ++t) {
    for (int64_t i = 0; i < 32; ++i) qkv[t * 48 + i] = 30 * qkv[t * 48 + i];
  }
  const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
  const tests::AttentionReference expected =
      tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy));
  const tests::AttentionResults<TypeParam> results = run_attention(shape, qkv, dy);
  EXPECT_LE(relative_error(results.y, expected.y), std::max(1e-3, kStorageTolerance<TypeParam>));
  EXPECT_LE(relative_error(results.dqkv, expected.dqkv), kLargeScoreTolerance<TypeParam>);
}

TYPED_TEST(Attention, NaNIsNotHidden) {
  const AttentionShape shape{.B = 1, .T = 20, .H = 1, .K = 1, .D = 16};
  Random random;
  Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
  qkv[7 * 48] = std::numeric_limits<float>::quiet_NaN();  // query 7
  const tests::AttentionResults<TypeParam> results = run_attention(shape, qkv, random_dy<TypeParam>(random, shape));
  for (int64_t t = 0; t < 20; ++t) EXPECT_EQ(std::isnan(results.y[t * 16]), t == 7) << t;
}

TYPED_TEST(Attention, DryUsesTheScratchAndStatesTheCostOfTheDevice) {
  constexpr DType kStorage = dtype_of<TypeParam>;
  constexpr int64_t s = sizeof(TypeParam);
  const AttentionShape shape{.B = 2, .T = 100, .H = 4, .K = 2, .D = 24};
  const tests::Threads guard(2);
  Stream device(tests::device());
  Stream dry = Stream::dry_for(tests::device());
  Arena device_scratch = tests::shared_arena("scratch", tests::attention_scratch_bytes(shape));
  Arena dry_scratch = Arena::dry("scratch");
  Tensor<TypeParam> qkv({200, 8 * 24});
  Tensor<TypeParam> y({200, 4 * 24});
  Tensor<float> log_sum_exp({2, 4, 100});
  Tensor<TypeParam> cache({2, 150, 2, 24});
  const View dry_qkv = tests::dry_view(qkv.shape, kStorage);
  const View dry_y = tests::dry_view(y.shape, kStorage);
  const View dry_lse = tests::dry_view(log_sum_exp.shape);
  const View dry_cache = tests::dry_view(cache.shape, kStorage);
  attention_forward(device, shape, {.qkv = qkv.view(), .y = y.view(), .log_sum_exp = log_sum_exp.view()},
                    device_scratch);
  attention_forward(dry, shape, {.qkv = dry_qkv, .y = dry_y, .log_sum_exp = dry_lse}, dry_scratch);
  EXPECT_EQ(device_scratch.peak_bytes(), dry_scratch.peak_bytes());
  cached_attention(device, shape, {qkv.view(), cache.view(), cache.view(), 50, y.view()}, device_scratch);
  cached_attention(dry, shape, {dry_qkv, dry_cache, dry_cache, 50, dry_y}, dry_scratch);
  EXPECT_EQ(device_scratch.peak_bytes(), dry_scratch.peak_bytes());
  attention_backward(device, shape, {qkv.view(), y.view(), log_sum_exp.view(), y.view(), qkv.view()}, device_scratch);
  attention_backward(dry, shape, {dry_qkv, dry_y, dry_lse, dry_y, dry_qkv}, dry_scratch);
  EXPECT_EQ(device_scratch.peak_bytes(), dry_scratch.peak_bytes());
  EXPECT_GT(dry_scratch.peak_bytes(), 0);
  EXPECT_EQ(dry_scratch.used_bytes(), 0);

  EXPECT_EQ(device.costs().by_op(), dry.costs().by_op());
  const auto& costs = dry.costs().by_op();
  const auto [B, T, H, K, D] = shape;
  const int64_t forward_bytes = s * B * T * (2 * H + 2 * K) * D + 4 * B * H * T;
  const int64_t backward_bytes = s * B * T * (4 * H + 4 * K) * D + 4 * B * H * T;
  const int64_t cached_bytes = s * B * T * (2 * H + 2 * K) * D + 2 * s * B * (50 + T) * K * D;
  const int64_t pairs = B * H * D * T * (T + 1) / 2;
  EXPECT_EQ(costs.at("attention_forward"), (CostRecord::Total{1, 4 * pairs, forward_bytes}));
  EXPECT_EQ(costs.at("attention_backward"), (CostRecord::Total{1, 10 * pairs, backward_bytes, 2 * pairs}));
  EXPECT_EQ(costs.at("cached_attention"), (CostRecord::Total{1, 4 * (pairs + B * H * D * T * 50), cached_bytes}));
}

TEST(AttentionShapes, WrongOnesNameTheOperand) {
  Stream stream(Device::dry);
  Arena scratch = Arena::dry("scratch");
  const AttentionShape shape{1, 10, 4, 2, 8};
  const View qkv = tests::dry_view({10, 64});
  const View y = tests::dry_view({10, 32});
  const View log_sum_exp = tests::dry_view({1, 4, 10});
  const View cache = tests::dry_view({1, 12, 2, 8});
  EXPECT_EQ(tests::error_message(
                [&] { attention_forward(stream, shape, {.qkv = y, .y = y, .log_sum_exp = log_sum_exp}, scratch); }),
            "attention_forward: qkv is (10, 32) fp32, expected (10, 64) fp32");
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, {1, 10, 3, 2, 8}, {.qkv = qkv, .y = y, .log_sum_exp = log_sum_exp}, scratch);
            }),
            "attention_forward: 3 query heads are not a multiple of 2 key/value heads");
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, {1, 0, 3, 2, 8}, {.qkv = qkv, .y = y, .log_sum_exp = log_sum_exp}, scratch);
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
  // One storage in one call, and statistics are fp32 always.
  const View narrow_y = tests::dry_view(y.shape, DType::bf16);
  const View narrow_qkv = tests::dry_view(qkv.shape, DType::bf16);
  const View narrow_lse = tests::dry_view(log_sum_exp.shape, DType::bf16);
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, shape, {.qkv = qkv, .y = narrow_y, .log_sum_exp = log_sum_exp}, scratch);
            }),
            "attention_forward: y is (10, 32) bf16, expected (10, 32) fp32");
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, shape, {.qkv = narrow_qkv, .y = narrow_y, .log_sum_exp = narrow_lse}, scratch);
            }),
            "attention_forward: log_sum_exp is (1, 4, 10) bf16, expected (1, 4, 10) fp32");
  EXPECT_EQ(tests::error_message([&] {
              attention_backward(stream, shape, {narrow_qkv, narrow_y, log_sum_exp, narrow_y, qkv}, scratch);
            }),
            "attention_backward: dqkv is (10, 64) fp32, expected (10, 64) bf16");
  EXPECT_EQ(tests::error_message([&] {
              cached_attention(stream, shape, {narrow_qkv, cache, cache, 0, narrow_y}, scratch);
            }),
            "cached_attention: key_cache is (1, 12, 2, 8) fp32, expected (1, 12, 2, 8) bf16");
  const View integers = tests::dry_view(qkv.shape, DType::i32);
  EXPECT_EQ(tests::error_message([&] {
              attention_forward(stream, shape, {.qkv = integers, .y = y, .log_sum_exp = log_sum_exp}, scratch);
            }),
            "attention_forward: qkv is (10, 64) i32, expected fp32 or bf16");
}

}  // namespace
}  // namespace trireme::runtime
