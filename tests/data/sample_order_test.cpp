#include "data/sample_order.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace trireme::data {
namespace {

std::vector<int64_t> epoch_order(int64_t epoch, int64_t windows, uint64_t seed) {
  std::vector<int64_t> order;
  for (int64_t j = 0; j < windows; ++j) order.push_back(window_of_sample(epoch * windows + j, windows, seed));
  return order;
}

bool is_permutation_of_all(const std::vector<int64_t>& order) {
  std::vector<bool> seen(order.size());
  for (const int64_t window : order) {
    if (window < 0 || window >= static_cast<int64_t>(order.size()) || seen[static_cast<size_t>(window)]) return false;
    seen[static_cast<size_t>(window)] = true;
  }
  return true;
}

TEST(SampleOrder, EveryEpochIsAPermutation) {
  for (int64_t windows = 1; windows <= 130; ++windows) {
    for (const int64_t epoch : {int64_t{0}, int64_t{1}, int64_t{1} << 40}) {
      EXPECT_TRUE(is_permutation_of_all(epoch_order(epoch, windows, 1234))) << windows << " in epoch " << epoch;
    }
  }
  for (const int64_t windows : {1023, 1024, 1025, 4097, 65537}) {
    EXPECT_TRUE(is_permutation_of_all(epoch_order(3, windows, 99))) << windows;
  }
}

TEST(SampleOrder, DependsOnEpochAndSeed) {
  const std::vector<int64_t> order = epoch_order(0, 1000, 1);
  for (const auto& other : {epoch_order(1, 1000, 1), epoch_order(0, 1000, 2), epoch_order(int64_t{1} << 32, 1000, 1)}) {
    int64_t same = 0;
    for (size_t j = 0; j < order.size(); ++j) same += order[j] == other[j] ? 1 : 0;
    // Two random permutations agree in Poisson(1) places: 12 or more have a probability below 1e-9.
    EXPECT_LT(same, 12);
  }
}

TEST(SampleOrder, NeighboursAreShuffledApart) {
  const std::vector<int64_t> order = epoch_order(0, 20000, 7);
  int64_t ascending = 0;
  int64_t adjacent = 0;
  for (size_t j = 1; j < order.size(); ++j) {
    ascending += order[j] > order[j - 1] ? 1 : 0;
    adjacent += std::abs(order[j] - order[j - 1]) == 1 ? 1 : 0;
  }
  // Ascents of a random permutation: mean (N-1)/2, variance (N+1)/12; five standard deviations are 204.
  EXPECT_NEAR(static_cast<double>(ascending), 9999.5, 204);
  EXPECT_LT(adjacent, 15);  // Poisson(2): 15 or more have a probability below 1e-8
}

TEST(SampleOrder, EveryPlaceGetsEveryWindowEquallyOften) {
  constexpr int64_t kWindows = 5;
  constexpr int64_t kEpochs = 10000;
  int64_t counts[kWindows][kWindows] = {};
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    for (int64_t j = 0; j < kWindows; ++j) ++counts[j][window_of_sample(epoch * kWindows + j, kWindows, 5)];
  }
  for (const auto& row : counts) {
    // Binomial(10000, 1/5): standard deviation 40; five of them.
    for (const int64_t count : row) EXPECT_NEAR(static_cast<double>(count), 2000, 200);
  }
}

TEST(SampleOrder, HandlesTheLargestRanges) {
  const int64_t windows = (int64_t{1} << 62) + 12345;
  for (int64_t sample = 0; sample < 1000; ++sample) {
    const int64_t window = window_of_sample(sample, windows, 3);
    EXPECT_GE(window, 0);
    EXPECT_LT(window, windows);
  }
}

}  // namespace
}  // namespace trireme::data
