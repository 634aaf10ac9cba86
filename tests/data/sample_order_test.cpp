#include "data/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "tests/data/chi_square.h"

namespace trireme::data {
namespace {

std::vector<int64_t> epoch_order(int64_t epoch, int64_t windows, uint64_t seed) {
  std::vector<int64_t> order;
  for (int64_t j = 0; j < windows; ++j) order.push_back(window_of_sample(epoch * windows + j, windows, seed));
  return order;
}

Shuffle blocked(int64_t block_windows, int64_t blocks_in_group) {
  return {.kind = Shuffle::Kind::blocked, .block_windows = block_windows, .blocks_in_group = blocks_in_group};
}

std::vector<int64_t> epoch_order(int64_t epoch, int64_t windows, uint64_t seed, const Shuffle& shuffle) {
  std::vector<int64_t> order;
  for (int64_t j = 0; j < windows; ++j) {
    order.push_back(window_of_sample(epoch * windows + j, windows, seed, 0, shuffle));
  }
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

// Runs resume on this order: it must never change.
TEST(SampleOrder, GoldenValues) {
  constexpr std::array<int64_t, 7> kSamples = {0, 1, 5, 61, 1000, 1234567, (int64_t{1} << 41) + 17};
  const std::vector<std::pair<int64_t, std::array<int64_t, 7>>> golden = {
      {1, {0, 0, 0, 0, 0, 0, 0}},
      {2, {0, 1, 1, 0, 0, 1, 1}},
      {7, {0, 3, 2, 5, 4, 3, 1}},
      {62, {45, 43, 7, 2, 28, 19, 32}},
      {1000, {645, 614, 791, 240, 696, 923, 279}},
      {65537, {41861, 13622, 40754, 58550, 18803, 51663, 15823}},
      {123456789, {68893649, 19716836, 113032304, 20724081, 115401821, 93794202, 103202062}},
      {(int64_t{1} << 40) + 3,
       {930329337253, 201504021759, 454525951157, 421685132862, 475968143092, 762395544268, 738680025079}}};
  for (const auto& [windows, expected] : golden) {
    for (size_t i = 0; i < kSamples.size(); ++i) {
      EXPECT_EQ(window_of_sample(kSamples[i], windows, 42), expected[i]) << kSamples[i] << " of " << windows;
    }
  }
}

TEST(SampleOrder, SourcesOfOneSizeHaveOrdersOfTheirOwn) {
  int64_t same = 0;
  for (int64_t j = 0; j < 1000; ++j) same += window_of_sample(j, 1000, 7, 0) == window_of_sample(j, 1000, 7, 1) ? 1 : 0;
  EXPECT_LT(same, 12);
}

// Chi-square tests. Seeds are fixed, so each either holds for good or fails for good. |deviate| < 4.5 is a two-sided p
// above 7e-6: of the 40 values here one such would come up by chance once in 3,600 choices of the seed.
constexpr double kFarOut = 4.5;

/// Over many epochs each place gets each window, and each window each successor, equally often.
void expect_random_epochs(int64_t windows, const Shuffle& shuffle) {
  const int64_t epochs = 20 * windows;  // 20 expected in a cell
  const auto N = static_cast<size_t>(windows);
  tests::Table places(N, std::vector<int64_t>(N, 0));
  tests::Table successors = places;
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    const std::vector<int64_t> order = epoch_order(epoch, windows, 11, shuffle);
    for (size_t j = 0; j < N; ++j) {
      ++places[j][static_cast<size_t>(order[j])];
      ++successors[static_cast<size_t>(order[j])][static_cast<size_t>(order[(j + 1) % N])];
    }
  }
  EXPECT_LT(std::abs(tests::deviate_of_places(places, epochs)), kFarOut) << windows;
  const auto [symmetric, antisymmetric] = tests::deviates_of_successors(successors, epochs);
  EXPECT_LT(std::abs(symmetric), kFarOut) << windows;
  EXPECT_LT(std::abs(antisymmetric), kFarOut) << windows;
}

TEST(SampleOrder, PlacesAndNeighboursAreRandomOverEpochs) {
  for (const int64_t windows : {5, 8, 17, 31, 64, 100}) expect_random_epochs(windows, {});
}

TEST(SampleOrder, ABlockedOrderOfOneGroupIsAsRandom) {
  for (const int64_t windows : {8, 17, 31, 64}) expect_random_epochs(windows, blocked(4, 16));
}

TEST(SampleOrder, PlacesAndNeighboursAreRandomInOneEpoch) {
  constexpr size_t kBins = 32;
  for (const int64_t windows : {int64_t{65536}, int64_t{100003}}) {
    for (const int64_t epoch : {int64_t{0}, int64_t{1}, int64_t{1} << 33}) {
      const std::vector<int64_t> order = epoch_order(epoch, windows, 11);
      const auto bin = [&](int64_t value) {
        return static_cast<size_t>(value * static_cast<int64_t>(kBins) / windows);
      };
      tests::Table places(kBins, std::vector<int64_t>(kBins, 0));
      tests::Table successors = places;
      for (size_t j = 0; j < order.size(); ++j) {
        ++places[bin(static_cast<int64_t>(j))][bin(order[j])];
        ++successors[bin(order[j])][bin(order[(j + 1) % order.size()])];
      }
      EXPECT_LT(std::abs(tests::deviate_of_independence(places)), kFarOut) << windows << " in epoch " << epoch;
      EXPECT_LT(std::abs(tests::deviate_of_independence(successors)), kFarOut) << windows << " in epoch " << epoch;
    }
  }
}

TEST(SampleOrder, ABlockedEpochIsAPermutation) {
  for (int64_t windows = 1; windows <= 130; ++windows) {
    for (const int64_t block_windows : {1, 2, 7, 64, 200}) {
      for (const int64_t blocks_in_group : {1, 3, 64}) {
        for (const int64_t epoch : {int64_t{0}, int64_t{5}}) {
          EXPECT_TRUE(is_permutation_of_all(epoch_order(epoch, windows, 3, blocked(block_windows, blocks_in_group))))
              << windows << " in blocks of " << block_windows << ", " << blocks_in_group << " in a group";
        }
      }
    }
  }
}

TEST(SampleOrder, ABlockedEpochReadsTheBlocksOfOneGroupAtATime) {
  constexpr int64_t kWindows = 10 * 7 - 3;  // ten blocks, the last one shorter
  const Shuffle shuffle = blocked(7, 4);
  std::set<std::set<int64_t>> first_groups;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    const std::vector<int64_t> order = epoch_order(epoch, kWindows, 3, shuffle);
    size_t begin = 0;
    std::set<int64_t> met;
    for (const size_t blocks : {4, 4, 2}) {
      std::set<int64_t> group;
      size_t windows = 0;
      for (size_t j = begin; j < order.size() && (j == begin || group.size() <= blocks); ++j) {
        if (!group.contains(order[j] / 7) && group.size() == blocks) break;
        group.insert(order[j] / 7);
        windows = j + 1 - begin;
      }
      EXPECT_EQ(group.size(), blocks) << "epoch " << epoch;
      EXPECT_EQ(windows, blocks * 7 - (group.contains(9) ? 3 : 0)) << "epoch " << epoch;
      if (begin == 0) first_groups.insert(group);
      met.merge(group);
      begin += windows;
    }
    EXPECT_EQ(begin, order.size());
    EXPECT_EQ(met.size(), 10u);
  }
  EXPECT_GE(first_groups.size(), 18u);  // of 210 possible ones: 20 epochs have two equal pairs or more with p < 0.2
}

TEST(SampleOrder, EveryBlockComesIntoEveryGroupEquallyOften) {
  constexpr int64_t kBlocks = 12;
  constexpr int64_t kEpochs = 4000;
  // Of a permutation of 12 blocks the first 4, the next 4 and the last 4: a table of places whose rows are added up.
  tests::Table groups(3, std::vector<int64_t>(kBlocks, 0));
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> order = epoch_order(epoch, kBlocks * 2, 3, blocked(2, 4));
    for (size_t j = 0; j < order.size(); ++j) {
      if (order[j] % 2 == 0) ++groups[j / 8][static_cast<size_t>(order[j] / 2)];
    }
  }
  // Each epoch fixes 4 of 12 in a row: variance by 11/12 less than independent choices, as with single places.
  EXPECT_LT(std::abs(tests::deviate_of_independence(groups, 11.0 / 12.0)), kFarOut);
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
