#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/device_array.h"
#include "tests/emulation/selftest_kernels.h"

namespace trireme {
namespace {

using emulation::ThreadOrder;
using selftest::Mistake;

std::vector<float> small_numbers(size_t count) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>((i * 37) % 101);
  return numbers;
}

/// The sums that the kernel finds; small whole numbers, so that every order of addition gives the same.
std::vector<float> sums_of_blocks(const std::vector<float>& numbers) {
  const DeviceArray<float> x(numbers);
  const DeviceArray<float> sums(numbers.size() / 256);
  EXPECT_EQ(selftest::sum_blocks(x.data(), sums.data(), static_cast<int>(numbers.size() / 256), nullptr), cudaSuccess);
  return sums.values();
}

std::vector<float> expected_sums(const std::vector<float>& numbers) {
  std::vector<float> sums(numbers.size() / 256);
  for (size_t i = 0; i < numbers.size(); ++i) sums[i / 256] += numbers[i];
  return sums;
}

TEST(EmulatedThreads, SumOfBlocksIsTheSameInEveryOrder) {
  const std::vector<float> numbers = small_numbers(5 * 256);
  for (const ThreadOrder order : kEveryOrder) {
    const OrderGuard guard(order, 7);
    EXPECT_EQ(sums_of_blocks(numbers), expected_sums(numbers));
  }
}

TEST(EmulatedThreads, ARemovedBarrierIsSeenInSomeOrder) {
  const std::vector<float> numbers = small_numbers(5 * 256);
  emulation::forget_barriers();
  ASSERT_EQ(sums_of_blocks(numbers), expected_sums(numbers));
  const std::vector<std::string> sites = emulation::barrier_sites();
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_TRUE(sites[0].starts_with("tests/emulation/selftest_kernels.cu:")) << sites[0];
  emulation::ignore_barrier(sites[0]);
  bool seen = false;
  for (const ThreadOrder order : kEveryOrder) {
    const OrderGuard guard(order);
    seen |= sums_of_blocks(numbers) != expected_sums(numbers);
  }
  EXPECT_TRUE(seen);
  emulation::ignore_barrier("");
  EXPECT_EQ(sums_of_blocks(numbers), expected_sums(numbers));
}

TEST(EmulatedThreads, IndicesCountThreadsThenBlocksFromX) {
  for (const ThreadOrder order : kEveryOrder) {
    const OrderGuard guard(order);
    const DeviceArray<int> indices(12 * 45);
    ASSERT_EQ(selftest::number_threads(indices.data(), nullptr), cudaSuccess);
    std::vector<int> expected(12 * 45);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(indices.values(), expected);
  }
}

TEST(EmulatedThreads, ShufflesOfEveryKindAndWidth) {
  for (const ThreadOrder order : kEveryOrder) {
    const OrderGuard guard(order);
    const DeviceArray<int> results(7 * 32);
    ASSERT_EQ(selftest::shuffle(results.data(), nullptr), cudaSuccess);
    const std::vector<int> got = results.values();
    for (int lane = 0; lane < 32; ++lane) {
      const auto of = [&](int kind) { return got[static_cast<size_t>(32 * kind + lane)]; };
      EXPECT_EQ(of(0), lane ^ 1);
      EXPECT_EQ(of(1), (lane & 8) != 0 ? lane - 8 : lane);  // a lower group may be read, a higher one not
      EXPECT_EQ(of(2), lane % 8 >= 3 ? lane - 3 : lane);
      EXPECT_EQ(of(3), lane % 8 < 5 ? lane + 3 : lane);
      EXPECT_EQ(of(4), lane / 8 * 8 + 13 % 8);
      EXPECT_EQ(of(5), static_cast<int>(0xaaaaaaaau));
      EXPECT_EQ(of(6), 31);
    }
  }
}

TEST(EmulatedThreads, BarriersCountVotesAlsoOfAPartialWarp) {
  const DeviceArray<int> counts(3);
  ASSERT_EQ(selftest::vote(counts.data(), 75, nullptr), cudaSuccess);
  EXPECT_EQ(counts.values(), (std::vector<int>{37, 1, 1}));
  ASSERT_EQ(selftest::vote(counts.data(), 70, nullptr), cudaSuccess);
  EXPECT_EQ(counts.values(), (std::vector<int>{35, 0, 1}));
  ASSERT_EQ(selftest::vote(counts.data(), 128, nullptr), cudaSuccess);
  EXPECT_EQ(counts.values(), (std::vector<int>{64, 1, 0}));
}

TEST(EmulatedThreads, DynamicSharedMemoryBeginsAsNaN) {
  const DeviceArray<float> y(100);
  ASSERT_EQ(selftest::show_dynamic_memory(y.data(), 100, nullptr), cudaSuccess);
  for (const float value : y.values()) EXPECT_TRUE(std::isnan(value));
}

void run_mistake(Mistake mistake) {
  const DeviceArray<float> y(64);
  selftest::make_mistake(mistake, y.data(), nullptr);
  cudaDeviceSynchronize();
}

TEST(EmulatedThreadsDeathTest, MistakesAreReportedWithTheirKernel) {
  EXPECT_DEATH(
      run_mistake(Mistake::barrier_of_one_warp),
      "standstill in kernel .*mistake_kernel.*32 have left the kernel; 32 wait at the barrier tests/emulation");
  EXPECT_DEATH(run_mistake(Mistake::barrier_after_exit), "1 have left the kernel; 63 wait at the barrier");
  EXPECT_DEATH(run_mistake(Mistake::barriers_at_two_places), "mistake_kernel.*divergent barrier");
  EXPECT_DEATH(run_mistake(Mistake::absent_lane), "mistake_kernel.*reads lane 20, which takes no part");
  EXPECT_DEATH(run_mistake(Mistake::missing_lanes),
               "44 wait at the barrier.*\n.*warp 0: lanes 000fffff wait in the shuffle at .* for lanes fff00000");
  EXPECT_DEATH(run_mistake(Mistake::outside_of_mask), "a lane that its own mask does not name");
}

TEST(EmulatedThreadsDeathTest, AccessesOutsideOfTheirArrayAreFatal) {
  EXPECT_DEATH(run_mistake(Mistake::step_over_the_end), "mistake_kernel.*touched memory|AddressSanitizer");
  EXPECT_DEATH(run_mistake(Mistake::misaligned), "mistake_kernel.*misaligned");
  EXPECT_DEATH(run_mistake(Mistake::shared_array), "mistake_kernel.*outside of its array");
  EXPECT_DEATH(run_mistake(Mistake::endless_stack), "mistake_kernel.*overflowed the stack");
}

TEST(EmulatedThreadsDeathTest, AKernelMayNotBeGivenMemoryOfTheHost) {
  float ordinary = 0;
  EXPECT_DEATH(selftest::add(&ordinary, 1, &ordinary, 1, nullptr), "add_kernel.*which is not memory of the device");
}

}  // namespace
}  // namespace trireme
