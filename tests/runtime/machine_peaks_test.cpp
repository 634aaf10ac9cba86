#include "runtime/machine_peaks.h"

#include <array>

#include <gtest/gtest.h>

#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

// Neighbours on a shared machine halve a rate easily, and a sanitizer costs a factor of ten; what is held here is that
// work was done and timed: a loop that the compiler dropped, milliseconds for seconds. What a run counts is exact.
constexpr double kLeastFlops = 5e7;
constexpr double kMostFlopsOfAThread = 1e12;  // 5 GHz, two 512-bit multiply-adds a cycle: 3.2e11
constexpr double kMostBytes = 1e12;

TEST(MachinePeaks, ARunCountsEveryThread) {
  for (const int64_t threads : {1, 2, 7}) {
    // 2^29 / (2 * 16 * chains), rounded down, multiply-adds a lane; a multiply-add is two flops.
    EXPECT_EQ(fma_run_flops(6, threads), threads * 6 * 16 * 2 * int64_t{2796202});
    EXPECT_EQ(fma_run_flops(12, threads), threads * 12 * 16 * 2 * int64_t{1398101});
  }
}

TEST(MachinePeaks, ARunMovesEachByteOfTheBlockOnce) {
  constexpr int64_t kUnit = 6 << 18;  // bytes: six pieces of 2^16 floats
  for (const int64_t block_bytes : {kUnit, 5 * kUnit, 5 * kUnit + 1, 6 * kUnit - 1}) {
    const MemoryRun run = memory_run(block_bytes);
    const int64_t expected_bytes = block_bytes / kUnit * kUnit;
    EXPECT_EQ(run.elements * 4, expected_bytes);
    EXPECT_EQ(run.read_bytes(), expected_bytes);   // x
    EXPECT_EQ(run.copy_bytes(), expected_bytes);   // half is read, half written
    EXPECT_EQ(run.triad_bytes(), expected_bytes);  // two thirds are read, one written
  }
  EXPECT_EQ(memory_run(1).read_bytes(), kUnit);
  EXPECT_EQ(memory_run(int64_t{3} << 28).read_bytes(), int64_t{3} << 28);
}

TEST(MachinePeaks, AProductCountsTwoFlopsAMultiplyAdd) {
  EXPECT_EQ(product_flops({.N = 3, .C_in = 5, .C_out = 7}), 210);
  EXPECT_EQ(product_flops({.N = 1 << 16, .C_in = 1 << 14, .C_out = 1 << 16}), int64_t{1} << 47);
}

TEST(MachinePeaks, MultiplyAddsHaveARateOfThisWorld) {
  const int all = compute_threads();
  for (const int threads : {1, all}) {
    set_compute_threads(threads);
    const double peak = measure_fma_peak(0.05);
    EXPECT_GT(peak, kLeastFlops);
    EXPECT_LT(peak, kMostFlopsOfAThread * threads);
  }
}

TEST(MachinePeaks, MemoryIsReadAndWritten) {
  const MemoryRates rates = measure_memory(int64_t{1} << 24, 0.02);
  for (const double rate : {rates.read, rates.copy, rates.triad}) {
    EXPECT_GT(rate, 1e7);
    EXPECT_LT(rate, kMostBytes);
    EXPECT_LE(rate, rates.best());
  }
}

TEST(MachinePeaks, ProductsOfEachShapeInOrder) {
  const std::array shapes{ProductShape{64, 48, 80}, ProductShape{17, 96, 33}};
  const std::vector<ProductRate> rates = measure_products(shapes, 0.01);
  ASSERT_EQ(rates.size(), 6u);
  const std::array ops{"linear_forward", "linear_backward_input", "linear_backward_weight"};
  for (size_t i = 0; i < rates.size(); ++i) {
    EXPECT_EQ(rates[i].op, ops[i % 3]);
    EXPECT_EQ(rates[i].shape, shapes[i / 3]);
    EXPECT_GT(rates[i].flops_per_second, kLeastFlops / 10);  // waking threads for small products costs most of the time
    EXPECT_LT(rates[i].flops_per_second, kMostFlopsOfAThread * compute_threads());
  }
}

}  // namespace
}  // namespace trireme::runtime
