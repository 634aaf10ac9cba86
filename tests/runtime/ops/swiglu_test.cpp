#include "runtime/ops/swiglu.h"

#include <limits>

#include "tests/reference/op_runs.h"
#include "tests/reference/swiglu.h"

namespace trireme::runtime {
namespace {

using tests::kStorageTolerance;
using tests::poisoned;
using tests::Random;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;

template <typename T>
class Swiglu : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Swiglu, Storages);

template <typename T>
struct Case {
  Tensor<T> x, dy, y, dx;

  Case(Random& random, int64_t N, int64_t F, float scale = 3)
      : x(random.normals<T>({N, 2 * F}, scale)),
        dy(random.normals<T>({N, F})),
        y(poisoned<T>({N, F})),
        dx(poisoned<T>({N, 2 * F})) {}
  void run() {
    Stream stream(tests::device());
    swiglu_forward(stream, x.view(), y.view());
    swiglu_backward(stream, x.view(), dy.view(), dx.view());
  }
};

TYPED_TEST(Swiglu, ForwardAndBackwardMatchFloat64) {
  Random random;
  // Not one value alone: the slope of silu has a zero, where no relative error is small.
  for (const auto& [N, F] : {std::pair<int64_t, int64_t>{1, 7}, {3, 15}, {5, 64}, {7, 1000}, {30, 1377}}) {
    Case<TypeParam> given(random, N, F);
    given.run();
    std::vector<double> y_expected;
    std::vector<double> dx_expected(static_cast<size_t>(N * 2 * F));
    for (int64_t i = 0; i < N * F; ++i) {
      const int64_t at = i / F * 2 * F + i % F;
      const double gate = given.x[at];
      const double up = given.x[at + F];
      const double d = given.dy[i];
      y_expected.push_back(tests::silu_reference(gate) * up);
      dx_expected[static_cast<size_t>(at)] = d * up * tests::silu_derivative_reference(gate);
      dx_expected[static_cast<size_t>(at + F)] = d * tests::silu_reference(gate);
    }
    EXPECT_LE(relative_error(given.y, y_expected), kStorageTolerance<TypeParam>) << N << " x " << F;
    EXPECT_LE(relative_error(given.dx, dx_expected), kStorageTolerance<TypeParam>) << N << " x " << F;
  }
}

TYPED_TEST(Swiglu, EveryValueIsAccurate) {
  constexpr int64_t kCount = 20011;
  Stream stream(tests::device());
  Tensor<TypeParam> x({1, 2 * kCount}, 1.0f);
  for (int64_t i = 0; i < kCount; ++i) x[i] = -80.0f + 160.0f * static_cast<float>(i) / (kCount - 1);
  Tensor<TypeParam> y = poisoned<TypeParam>({1, kCount});
  swiglu_forward(stream, x.view(), y.view());
  for (int64_t i = 0; i < kCount; ++i) {
    const double expected = tests::silu_reference(x[i]);
    ASSERT_LE(std::abs(y[i] - expected), kStorageTolerance<TypeParam> * std::abs(expected)) << static_cast<float>(x[i]);
  }
}

TEST(SwigluReference, DerivativeIsTheSlope) {
  constexpr double kStep = 1e-5;
  for (const double x : {-7.3, -1.278, -0.2, 0.0, 0.9, 4.2}) {
    const double slope = (tests::silu_reference(x + kStep) - tests::silu_reference(x - kStep)) / (2 * kStep);
    // A central difference in float64: step^2 and rounding / step, both below 1e-9.
    EXPECT_NEAR(tests::silu_derivative_reference(x), slope, 1e-9) << x;
  }
}

TYPED_TEST(Swiglu, ExtremeGatesHaveTheirLimits) {
  constexpr float kHuge = 0x1p127f;  // a bf16 number
  constexpr int64_t kCount = 7;
  Stream stream(tests::device());
  Tensor<TypeParam> x({1, 2 * kCount}, 1.0f);
  const float gates[kCount] = {kHuge, -kHuge, 100, -100, 1000, -1000, 0};
  std::copy_n(gates, kCount, x.values.begin());
  const Tensor<TypeParam> dy({1, kCount}, 1.0f);
  Tensor<TypeParam> y = poisoned<TypeParam>({1, kCount});
  Tensor<TypeParam> dx = poisoned<TypeParam>({1, 2 * kCount});
  swiglu_forward(stream, x.view(), y.view());
  swiglu_backward(stream, x.view(), dy.view(), dx.view());
  const float y_expected[kCount] = {kHuge, 0, 100, 0, 1000, 0, 0};
  const float dgate_expected[kCount] = {1, 0, 1, 0, 1, 0, 0.5f};
  for (int64_t i = 0; i < kCount; ++i) {
    // Exact: exp(-|gate|) is 0 from 87 on.
    EXPECT_EQ(static_cast<float>(y[i]), y_expected[i]) << gates[i];
    EXPECT_EQ(static_cast<float>(dx[i]), dgate_expected[i]) << gates[i];
    EXPECT_EQ(static_cast<float>(dx[kCount + i]), y_expected[i]) << gates[i];
  }
}

TYPED_TEST(Swiglu, NotFiniteInputsShow) {
  constexpr int64_t kCount = 40;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY}) {
    for (const int64_t at : {int64_t{35}, kCount + 35}) {  // a gate, an up
      Random random;
      Case<TypeParam> given(random, 1, kCount);
      given.x[at] = bad;
      given.run();
      for (int64_t i = 0; i < kCount; ++i) {
        EXPECT_EQ(std::isfinite(static_cast<float>(given.y[i])), i != 35) << bad << " at " << at;
        EXPECT_EQ(std::isfinite(static_cast<float>(given.dx[i])), i != 35) << bad << " at " << at;
      }
    }
  }
}

TYPED_TEST(Swiglu, InPlaceAndThreadsDoNotChangeABit) {
  Random random;
  Stream stream(tests::device());
  Case<TypeParam> alone(random, 13, 997);
  Case<TypeParam> given = alone;
  {
    const tests::Threads one(1);
    alone.run();
  }
  for (const int threads : {2, 3, 5}) {
    const tests::Threads guard(threads);
    given.run();
    EXPECT_TRUE(same_bits(given.y, alone.y)) << threads;
    EXPECT_TRUE(same_bits(given.dx, alone.dx)) << threads;
  }
  swiglu_backward(stream, given.x.view(), given.dy.view(), given.x.view());
  EXPECT_TRUE(same_bits(given.x, alone.dx));
}

TYPED_TEST(Swiglu, DryCostsWhatCpuCosts) {
  constexpr DType kStorage = dtype_of<TypeParam>;
  constexpr int64_t s = sizeof(TypeParam);
  Random random;
  Case<TypeParam> given(random, 4, 10);
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  swiglu_forward(cpu, given.x.view(), given.y.view());
  swiglu_backward(cpu, given.x.view(), given.dy.view(), given.dx.view());
  const View x = tests::dry_view({4, 20}, kStorage);
  const View y = tests::dry_view({4, 10}, kStorage);
  swiglu_forward(dry, x, y);
  swiglu_backward(dry, x, y, x);
  tests::expect_cost(cpu, dry, {.op = "swiglu_forward", .flops = 5 * 40, .bytes = s * (80 + 40)});
  tests::expect_cost(cpu, dry, {.op = "swiglu_backward", .flops = 12 * 40, .bytes = s * (2 * 80 + 40)});
}

TEST(SwigluOperands, WrongOnesAreNamed) {
  Stream stream(Device::dry);
  const View x = tests::dry_view({4, 20});
  const View y = tests::dry_view({4, 10});
  EXPECT_EQ(tests::error_message([&] { swiglu_forward(stream, y, y); }),
            "swiglu_forward: x is (4, 10) fp32, expected (4, 20) fp32");
  EXPECT_EQ(tests::error_message([&] {
              swiglu_forward(stream, x, tests::dry_view({4, 10}, DType::bf16));
            }),
            "swiglu_forward: y is (4, 10) bf16, expected (4, 10) fp32");
  EXPECT_EQ(tests::error_message([&] {
              swiglu_forward(stream, tests::dry_view({4, 20}, DType::i32), y);
            }),
            "swiglu_forward: x is (4, 20) i32, expected fp32 or bf16");
  EXPECT_EQ(tests::error_message([&] { swiglu_backward(stream, x, y, y); }),
            "swiglu_backward: dx is (4, 10) fp32, expected (4, 20) fp32");
}

}  // namespace
}  // namespace trireme::runtime
