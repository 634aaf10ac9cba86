#include "runtime/ops/gelu.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/ops/fast_exp.h"
#include "tests/reference/gelu.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/tensors.h"

namespace trireme::runtime {
namespace {

using tests::kStorageTolerance;
using tests::poisoned;
using tests::Random;
using tests::relative_error;
using tests::Tensor;

// In fp32 exp is good to 3e-7 relative; its argument |2u| is below 70 for |x| <= 9, rounded twice: 2 * 70 * 6e-8. That
// is below kStorageTolerance.
template <typename T>
class Gelu : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Gelu, Storages);

template <typename T = float>
Tensor<T> values_in(float low, float high, int64_t count) {
  Tensor<T> x({count});
  for (int64_t i = 0; i < count; ++i) {
    x[i] = low + (high - low) * static_cast<float>(i) / static_cast<float>(count - 1);
  }
  return x;
}

TEST(FastExp, IsAccurateOverItsRange) {
  for (const float x : values_in(-87.0f, 88.0f, 100003).values) {
    const double expected = std::exp(static_cast<double>(x));
    ASSERT_LE(std::abs(fast_exp(x) - expected), 3e-7 * expected) << x;
  }
}

TEST(FastExp, ExtremesAreZeroBoundedOrNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fast_exp(-kInfinity), 0.0f);
  EXPECT_EQ(fast_exp(-88.0f), 0.0f);
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  EXPECT_EQ(fast_exp(kInfinity), fast_exp(88.0f));
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

TYPED_TEST(Gelu, ForwardAndBackwardMatchFloat64) {
  Random random;
  Stream stream(tests::device());
  // Not one value alone: gelu and its slope have zeros, where no relative error is small.
  for (const int64_t count : {int64_t{7}, int64_t{15}, int64_t{1000}, int64_t{30011}}) {
    const Tensor<TypeParam> x = random.normals<TypeParam>({count}, 3);
    const Tensor<TypeParam> dy = random.normals<TypeParam>({count});
    Tensor<TypeParam> y = poisoned<TypeParam>({count});
    Tensor<TypeParam> dx = poisoned<TypeParam>({count});
    gelu_forward(stream, x.view(), y.view());
    gelu_backward(stream, x.view(), dy.view(), dx.view());
    std::vector<double> y_expected;
    std::vector<double> dx_expected;
    for (int64_t i = 0; i < count; ++i) {
      y_expected.push_back(tests::gelu_reference(x[i]));
      dx_expected.push_back(dy[i] * tests::gelu_derivative_reference(x[i]));
    }
    EXPECT_LE(relative_error(y, y_expected), kStorageTolerance<TypeParam>) << count;
    EXPECT_LE(relative_error(dx, dx_expected), kStorageTolerance<TypeParam>) << count;
  }
}

TYPED_TEST(Gelu, EveryValueIsAccurate) {
  Stream stream(tests::device());
  const Tensor<TypeParam> x = values_in<TypeParam>(-9.0f, 9.0f, 20011);
  Tensor<TypeParam> y = poisoned<TypeParam>(x.shape);
  gelu_forward(stream, x.view(), y.view());
  for (int64_t i = 0; i < x.size(); ++i) {
    const double expected = tests::gelu_reference(x[i]);
    ASSERT_LE(std::abs(y[i] - expected), kStorageTolerance<TypeParam> * std::abs(expected)) << static_cast<float>(x[i]);
  }
}

TEST(GeluReference, IsTheTanhForm) {
  for (const double x : {-2.0, -0.5, 0.0, 0.3, 3.0}) {
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    EXPECT_NEAR(tests::gelu_reference(x), x / 2 * (1 + std::tanh(u)), 1e-15) << x;  // float64 rounding
  }
}

TEST(GeluReference, DerivativeIsTheSlope) {
  constexpr double kStep = 1e-5;
  for (const double x : {-3.7, -1.0, -0.2, 0.0, 0.9, 4.2}) {
    const double slope = (tests::gelu_reference(x + kStep) - tests::gelu_reference(x - kStep)) / (2 * kStep);
    // A central difference in float64: step^2 and rounding / step, both below 1e-9.
    EXPECT_NEAR(tests::gelu_derivative_reference(x), slope, 1e-9) << x;
  }
}

TYPED_TEST(Gelu, ExtremeInputsHaveTheirLimits) {
  Stream stream(tests::device());
  constexpr bool kHalf = std::is_same_v<TypeParam, bf16>;
  constexpr float kMax = kHalf ? 0x1.fep127f : std::numeric_limits<float>::max();
  constexpr float kTiny = kHalf ? 0x1p-133f : std::numeric_limits<float>::denorm_min();
  Tensor<TypeParam> x({9});
  x.values = {kMax, -kMax, 0x1p66f, -0x1p66f, 50.0f, -50.0f, 0.0f, kTiny, std::numeric_limits<float>::quiet_NaN()};
  const Tensor<TypeParam> dy({9}, 1.0f);
  Tensor<TypeParam> y = poisoned<TypeParam>({9});
  Tensor<TypeParam> dx = poisoned<TypeParam>({9});
  gelu_forward(stream, x.view(), y.view());
  gelu_backward(stream, x.view(), dy.view(), dx.view());
  const std::vector<float> y_expected = {kMax, 0, 0x1p66f, 0, 50, 0, 0};
  const std::vector<float> dx_expected = {1, 0, 1, 0, 1, 0, 0.5f};
  for (size_t i = 0; i < y_expected.size(); ++i) {
    EXPECT_EQ(y.values[i], y_expected[i]) << i;
    EXPECT_EQ(dx.values[i], dx_expected[i]) << i;
  }
  EXPECT_LE(y[7], kTiny);
  EXPECT_EQ(dx[7], 0.5f);
  EXPECT_TRUE(std::isnan(y[8]) && std::isnan(dx[8]));  // a fault upstream must not be hidden
}

TYPED_TEST(Gelu, InPlaceAndThreadsDoNotChangeABit) {
  Random random;
  Stream stream(tests::device());
  const Tensor<TypeParam> x = random.normals<TypeParam>({3, 9973}, 2);
  const Tensor<TypeParam> dy = random.normals<TypeParam>({3, 9973});
  std::vector<Tensor<TypeParam>> outputs;
  for (const int threads : {1, 2}) {
    const tests::Threads guard(threads);
    Tensor<TypeParam> y = poisoned<TypeParam>(x.shape);
    Tensor<TypeParam> dx = poisoned<TypeParam>(x.shape);
    gelu_forward(stream, x.view(), y.view());
    gelu_backward(stream, x.view(), dy.view(), dx.view());
    Tensor<TypeParam> y_in_place = x;
    Tensor<TypeParam> dx_in_place = dy;
    gelu_forward(stream, y_in_place.view(), y_in_place.view());
    gelu_backward(stream, x.view(), dx_in_place.view(), dx_in_place.view());
    EXPECT_EQ(y.values, y_in_place.values);
    EXPECT_EQ(dx.values, dx_in_place.values);
    outputs.push_back(y);
    outputs.push_back(dx);
  }
  EXPECT_EQ(outputs[0].values, outputs[2].values);
  EXPECT_EQ(outputs[1].values, outputs[3].values);
}

TYPED_TEST(Gelu, DryStreamStatesTheSameCost) {
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  Tensor<TypeParam> x({4, 10});
  gelu_forward(cpu, x.view(), x.view());
  gelu_backward(cpu, x.view(), x.view(), x.view());
  const View null = tests::dry_view({4, 10}, dtype_of<TypeParam>);
  gelu_forward(dry, null, null);
  gelu_backward(dry, null, null, null);
  EXPECT_EQ(cpu.costs().by_op(), dry.costs().by_op());
  const auto s = static_cast<int64_t>(sizeof(TypeParam));
  EXPECT_EQ(dry.costs().by_op().at("gelu_forward"), (CostRecord::Total{1, 8 * 40, 2 * 40 * s}));
  EXPECT_EQ(dry.costs().by_op().at("gelu_backward"), (CostRecord::Total{1, 14 * 40, 3 * 40 * s}));
}

TEST(GeluOperands, WrongOnesAreNamed) {
  Stream stream(Device::dry);
  const View x = tests::dry_view({4, 10});
  const View other = tests::dry_view({10, 4});
  EXPECT_EQ(tests::error_message([&] { gelu_forward(stream, x, other); }),
            "gelu_forward: y is (10, 4) fp32, expected (4, 10) fp32");
  EXPECT_EQ(tests::error_message([&] { gelu_backward(stream, x, other, x); }),
            "gelu_backward: dy is (10, 4) fp32, expected (4, 10) fp32");
  EXPECT_EQ(tests::error_message([&] { gelu_forward(stream, tests::dry_view({2}, DType::i32), x); }),
            "gelu_forward: x is (2) i32, expected fp32 or bf16");
  EXPECT_EQ(tests::error_message([&] {
              gelu_backward(stream, x, x, tests::dry_view({4, 10}, DType::bf16));
            }),
            "gelu_backward: dx is (4, 10) bf16, expected (4, 10) fp32");
}

}  // namespace
}  // namespace trireme::runtime
