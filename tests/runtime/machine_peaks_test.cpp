#include "runtime/machine_peaks.h"

#include <array>

#include <gtest/gtest.h>

#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

// Neighbours on a shared machine halve a rate easily, and a sanitizer costs a factor of ten; what is held here are
// mistakes in counting: a loop that the compiler dropped, flops counted per thread, kB taken for bytes.
constexpr double kLeastFlops = 5e7;
constexpr double kMostFlopsOfAThread = 1e12;  // 5 GHz, two 512-bit multiply-adds a cycle: 3.2e11
constexpr double kMostBytes = 1e12;

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
