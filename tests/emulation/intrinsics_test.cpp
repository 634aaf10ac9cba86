#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/device_array.h"
#include "tests/emulation/selftest_kernels.h"

namespace trireme {
namespace {

using emulation::ThreadOrder;
using runtime::bf16;

std::vector<bf16> random_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<bf16> values(count);
  for (bf16& value : values) value = normal(random);
  return values;
}

/// (16, 16) by rows times b, in float64; b (8, 16) by rows, or (16, 8) where `b_by_columns` is false.
std::vector<double> product(const std::vector<bf16>& a, const std::vector<bf16>& b, bool b_by_columns) {
  std::vector<double> d(16 * 8);
  for (size_t i = 0; i < 16; ++i)
    for (size_t j = 0; j < 8; ++j)
      for (size_t k = 0; k < 16; ++k)
        d[8 * i + j] +=
            static_cast<double>(a[16 * i + k]) * static_cast<double>(b_by_columns ? b[16 * j + k] : b[8 * k + j]);
  return d;
}

/// 16 exact products of about 1 added in fp32: 16 roundings of 2^-24 of sums below 16.
constexpr double kTolerance = 2e-5;

void expect_close(const std::vector<float>& got, const std::vector<double>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got[i], expected[i], kTolerance) << "element " << i;
}

class EmulatedIntrinsics : public testing::Test {
 protected:
  const std::vector<bf16> a_values_ = random_values(256, 1);
  const std::vector<bf16> b_values_ = random_values(128, 2);
  const DeviceArray<bf16> a_{a_values_};
  const DeviceArray<bf16> b_{b_values_};
  const DeviceArray<float> d_{128};
};

TEST_F(EmulatedIntrinsics, ATileOfTensorCoresIsTheProduct) {
  for (const ThreadOrder order : kEveryOrder) {
    const OrderGuard guard(order);
    ASSERT_EQ(selftest::product_tile(a_.data(), b_.data(), d_.data(), 24, true, nullptr), cudaSuccess);
    expect_close(d_.values(), product(a_values_, b_values_, true));
  }
}

TEST_F(EmulatedIntrinsics, TransposedLoadsGiveTheOtherLayout) {
  for (const ThreadOrder order : kEveryOrder) {
    const OrderGuard guard(order);
    ASSERT_EQ(selftest::product_tile_transposed(a_.data(), b_.data(), d_.data(), nullptr), cudaSuccess);
    expect_close(d_.values(), product(a_values_, b_values_, false));
  }
}

TEST_F(EmulatedIntrinsics, CopiesThatAreNotWaitedForHaveNotHappened) {
  ASSERT_EQ(selftest::product_tile(a_.data(), b_.data(), d_.data(), 24, false, nullptr), cudaSuccess);
  for (const float value : d_.values()) EXPECT_TRUE(std::isnan(value));
  const OrderGuard guard(ThreadOrder::reverse);  // copies at once: legal too
  ASSERT_EQ(selftest::product_tile(a_.data(), b_.data(), d_.data(), 24, false, nullptr), cudaSuccess);
  expect_close(d_.values(), product(a_values_, b_values_, true));
}

/// Rows of 32 bytes: rows 0, 4, ... of a matrix meet in the same banks, so that a load of eight takes two passes. The
/// kernel loads eight matrices. Rows of 48 bytes lie in eight different groups of banks.
TEST_F(EmulatedIntrinsics, BankConflictsAreCounted) {
  emulation::reset_bank_conflicts();
  ASSERT_EQ(selftest::product_tile(a_.data(), b_.data(), d_.data(), 24, true, nullptr), cudaSuccess);
  d_.values();
  EXPECT_EQ(emulation::bank_conflicts(), 0);
  ASSERT_EQ(selftest::product_tile(a_.data(), b_.data(), d_.data(), 16, true, nullptr), cudaSuccess);
  expect_close(d_.values(), product(a_values_, b_values_, true));
  EXPECT_EQ(emulation::bank_conflicts(), 8);
  emulation::reset_bank_conflicts();
  EXPECT_EQ(emulation::bank_conflicts(), 0);
}

TEST_F(EmulatedIntrinsics, SharedAddressesMustBeAligned) {
  const auto misaligned = [&] {
    selftest::product_tile(a_.data(), b_.data(), d_.data(), 20, true, nullptr);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(misaligned(), "tile_kernel.*copy_async_16: the shared address is not a multiple of 16");
}

}  // namespace
}  // namespace trireme
