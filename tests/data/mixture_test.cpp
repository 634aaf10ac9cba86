#include "data/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "runtime/error.h"

namespace trireme::data {
namespace {

constexpr int64_t kBlock = Mixture::kBlockSamples;

std::vector<std::vector<double>> cases() {
  std::vector<double> many;
  for (int i = 0; i < 300; ++i) many.push_back(1.0 + i % 7);
  return {{1, 1},
          {1, 2, 4},
          {0.7, 0.2, 0.1},
          {1e6, 1e6 / 32767.0},   // the second has just the least part
          {1, 1, 1, 1, 1, 1, 1},  // equal remainders
          {0.5, 0.3, 0.19999, 0.00004, 4e-5},
          many};
}

TEST(Mixture, CountsAfterEveryBlockAreExactToOneSample) {
  for (const std::vector<double>& weights : cases()) {
    const Mixture mixture(weights, 1);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<int64_t> before(weights.size(), 0);
    for (int64_t block = 1; block <= 3000; ++block) {
      const std::vector<int64_t> counts = mixture.counts_after(block);
      ASSERT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}), block * kBlock);
      for (size_t i = 0; i < weights.size(); ++i) {
        const double share = weights[i] / sum * static_cast<double>(block * kBlock);
        // A part is held to 2^-32: of 3,000 blocks that is 0.05 of a sample.
        ASSERT_LT(std::abs(static_cast<double>(counts[i]) - share), 1.05) << "source " << i << ", block " << block;
        ASSERT_GT(counts[i], before[i]) << "source " << i << ", block " << block;
      }
      before = counts;
    }
  }
}

TEST(Mixture, SumsHoldAtTheLastBlocks) {
  for (const std::vector<double>& weights : cases()) {
    const Mixture mixture(weights, 1);
    for (int64_t block = (int64_t{1} << 32) - 3; block <= int64_t{1} << 32; ++block) {
      const std::vector<int64_t> counts = mixture.counts_after(block);
      EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}), block * kBlock);
    }
  }
}

TEST(Mixture, EachSourceIsMetInItsOwnOrder) {
  for (const std::vector<double>& weights : cases()) {
    Mixture mixture(weights, 3);
    std::vector<int64_t> next(weights.size(), 0);
    for (int64_t sample = 0; sample < 3 * kBlock; ++sample) {
      const Mixture::Pick pick = mixture.pick(sample);
      ASSERT_EQ(pick.sample, next[pick.source]++) << sample;
    }
    EXPECT_EQ(next, mixture.counts_after(3));
  }
}

TEST(Mixture, APickDependsOnTheSampleAlone) {
  Mixture forward({3, 1, 2}, 9);
  Mixture anywhere({6, 2, 4}, 9);  // the same parts
  std::vector<Mixture::Pick> picks;
  for (int64_t sample = 0; sample < 4 * kBlock; ++sample) picks.push_back(forward.pick(sample));
  for (int64_t i = 0; i < 60; ++i) {
    const int64_t sample = i * 2654435761 % (4 * kBlock);
    const Mixture::Pick pick = anywhere.pick(sample);
    EXPECT_EQ(pick.source, picks[static_cast<size_t>(sample)].source);
    EXPECT_EQ(pick.sample, picks[static_cast<size_t>(sample)].sample);
  }
}

TEST(Mixture, SourcesAreSpreadOverABlock) {
  Mixture mixture({3, 1}, 5);
  for (int64_t begin = 0; begin < kBlock; begin += 1024) {
    int64_t second = 0;
    for (int64_t sample = begin; sample < begin + 1024; ++sample) second += mixture.pick(sample).source;
    // About binomial(1024, 1/4): standard deviation 13.9; five of them.
    EXPECT_NEAR(static_cast<double>(second), 256, 70) << begin;
  }
}

TEST(Mixture, OneSourceIsItself) {
  Mixture mixture({0.3}, 5);
  for (const int64_t sample : {int64_t{0}, int64_t{77777}, (int64_t{1} << 48) - 1}) {
    EXPECT_EQ(mixture.pick(sample).sample, sample);
    EXPECT_EQ(mixture.pick(sample).source, 0u);
  }
}

TEST(Mixture, APartThatIsTooSmallIsRefused) {
  for (const std::vector<double>& weights : {std::vector<double>{1, 1e-5}, {1, 0}, {1, -1}, {0, 0}}) {
    try {
      Mixture(weights, 1);
      ADD_FAILURE() << "an error was expected";
    } catch (const runtime::Error& error) {
      EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find("--data-weights"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace trireme::data
