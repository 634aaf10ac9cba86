#include "parallel/stage_cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

using Cut = std::vector<int64_t>;

std::vector<double> chunk_costs(const std::vector<double>& costs, double before, double after, const Cut& cut) {
  std::vector<double> sums;
  for (size_t chunk = 0; chunk < cut.size(); ++chunk) {
    const size_t end = chunk + 1 < cut.size() ? static_cast<size_t>(cut[chunk + 1]) : costs.size();
    double sum = (chunk == 0 ? before : 0) + (chunk + 1 == cut.size() ? after : 0);
    for (size_t layer = static_cast<size_t>(cut[chunk]); layer < end; ++layer) sum += costs[layer];
    sums.push_back(sum);
  }
  return sums;
}

double largest_chunk(const std::vector<double>& costs, double before, double after, const Cut& cut) {
  return std::ranges::max(chunk_costs(costs, before, after, cut));
}

/// The order of preference: the largest chunk, then the sum of squares.
using Score = std::pair<double, double>;
Score score(const std::vector<double>& costs, double before, double after, const Cut& cut) {
  const std::vector<double> sums = chunk_costs(costs, before, after, cut);
  return {std::ranges::max(sums), std::inner_product(sums.begin(), sums.end(), sums.begin(), 0.0)};
}

// All cuts, by trial.
void best_of_all(const std::vector<double>& costs, double before, double after, size_t chunks, Cut& cut, Score& least,
                 Cut& best) {
  if (cut.size() == chunks) {
    const Score own = score(costs, before, after, cut);
    // Earlier first layers, from the last chunk on, are fuller last chunks.
    const bool fuller = std::lexicographical_compare(cut.rbegin(), cut.rend(), best.rbegin(), best.rend());
    if (best.empty() || own < least || (own == least && fuller)) {
      least = own;
      best = cut;
    }
    return;
  }
  for (size_t first = static_cast<size_t>(cut.back()) + 1; first < costs.size(); ++first) {
    cut.push_back(static_cast<int64_t>(first));
    best_of_all(costs, before, after, chunks, cut, least, best);
    cut.pop_back();
  }
}

TEST(StageCut, EqualLayersAreSpreadEvenlyAndTheRestGoesToTheLastChunks) {
  EXPECT_EQ(cut_layers(std::vector<double>(12, 0.1), 0, 0, 4), (Cut{0, 3, 6, 9}));
  EXPECT_EQ(cut_layers(std::vector<double>(10, 0.1), 0, 0, 4), (Cut{0, 2, 4, 7}));
  EXPECT_EQ(cut_layers(std::vector<double>(5, 0.1), 0, 0, 4), (Cut{0, 1, 2, 3}));
  EXPECT_EQ(cut_layers(std::vector<double>(3, 0.1), 0, 0, 1), (Cut{0}));
}

TEST(StageCut, EmbeddingAndHeadTakeLayersFromTheirChunks) {
  EXPECT_EQ(cut_layers(std::vector<double>(12, 1), 0, 3, 3), (Cut{0, 5, 10}));
  EXPECT_EQ(cut_layers(std::vector<double>(12, 1), 2, 4, 3), (Cut{0, 4, 10}));
  EXPECT_EQ(cut_layers(std::vector<double>(4, 1), 0, 100, 4), (Cut{0, 1, 2, 3}));
}

TEST(StageCut, IsTheBestOfAllCuts) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 400; ++trial) {
    const size_t layers = 1 + random() % 9;
    std::vector<double> costs(layers);
    for (double& cost : costs) cost = static_cast<double>(random() % 5);  // whole numbers: sums are exact
    const double before = static_cast<double>(random() % 7), after = static_cast<double>(random() % 7);
    for (size_t chunks = 1; chunks <= layers; ++chunks) {
      Cut cut{0}, best;
      Score least;
      best_of_all(costs, before, after, chunks, cut, least, best);
      ASSERT_EQ(cut_layers(costs, before, after, static_cast<int>(chunks)), best) << trial << ", chunks " << chunks;
    }
  }
}

TEST(StageCut, ManyLayersOfOddCostStayWithinTheBoundOfAnyCut) {
  std::mt19937 random(2);
  std::vector<double> costs(256);
  for (double& cost : costs) cost = 1 + std::uniform_real_distribution<double>()(random);
  double sum = 0;
  for (double cost : costs) sum += cost;
  for (const int chunks : {1, 2, 63, 64, 128, 255, 256}) {
    const Cut cut = cut_layers(costs, 1, 2, chunks);
    ASSERT_EQ(cut.size(), static_cast<size_t>(chunks));
    // The best cut is above the mean by less than one layer, with the head a little more.
    EXPECT_LE(largest_chunk(costs, 1, 2, cut), (sum + 3) / chunks + 4);
  }
}

TEST(StageCut, MoreChunksThanLayersAreRefusedWithBothNumbers) {
  try {
    cut_layers(std::vector<double>(12, 1), 0, 0, 16);
    FAIL();
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    EXPECT_STREQ(error.what(),
                 "--pipeline-parallel x --virtual-stages is 16, but the model has 12 layers: 12 is the most");
  }
}

TEST(StageCut, BalanceIsTheMeanOverTheLargestStage) {
  const std::vector<double> costs(12, 1);
  EXPECT_DOUBLE_EQ(balance(costs, 0, 0, Cut{0, 3, 6, 9}, 4), 1);
  EXPECT_DOUBLE_EQ(balance(costs, 0, 3, Cut{0, 5, 10}, 3), 1);
  EXPECT_DOUBLE_EQ(balance(costs, 1, 3, Cut{0, 5, 10}, 3), 16.0 / 3 / 6);
  // Chunks 0 and 2 on stage 0: 4 + 1 layers and the embedding; 1 and 3 on stage 1: 4 + 3 layers and the head.
  EXPECT_DOUBLE_EQ(balance(costs, 1, 2, Cut{0, 4, 8, 9}, 2), 7.5 / 9);
  EXPECT_DOUBLE_EQ(balance(std::vector<double>(2, 0), 0, 0, Cut{0, 1}, 2), 1);
}

}  // namespace
}  // namespace trireme::parallel
