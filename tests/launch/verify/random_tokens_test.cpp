#include "launch/random_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace trireme::launch {
namespace {

using Sequence = std::pair<std::vector<int32_t>, std::vector<int32_t>>;  ///< tokens, targets

/// All ranks' sequences of a step, by sample.
std::map<int64_t, Sequence> sequences(int64_t step, int ranks, int64_t B, uint64_t seed = 3) {
  constexpr int64_t T = 5;
  std::map<int64_t, Sequence> all;
  for (int rank = 0; rank < ranks; ++rank) {
    for (const data::Microbatch& microbatch : random_step({.sequence_length = T,
                                              .global_batch_size = 12,
                                              .microbatch_size = B,
                                              .rank = rank,
                                              .ranks = ranks,
                                              .order = {.seed = seed}},
                                                          11, step)) {
      EXPECT_EQ(std::ssize(microbatch.samples), B);
      for (int64_t b = 0; b < B; ++b) {
        const auto tokens = microbatch.tokens.begin() + b * T;
        const auto targets = microbatch.targets.begin() + b * T;
        all[microbatch.samples[static_cast<size_t>(b)]] = {{tokens, tokens + T}, {targets, targets + T}};
      }
    }
  }
  return all;
}

TEST(RandomTokens, AreTheSameInEveryLayout) {
  const auto expected = sequences(2, 1, 12);
  ASSERT_EQ(expected.size(), 12u);
  EXPECT_EQ(expected.begin()->first, 24) << "the third step's samples";
  EXPECT_EQ(sequences(2, 3, 2), expected);
  EXPECT_EQ(sequences(2, 4, 1), expected);
  EXPECT_NE(sequences(2, 1, 12, 4), expected) << "another seed";
}

TEST(RandomTokens, TargetsFollowTheirTokens) {
  for (const auto& [sample, sequence] : sequences(0, 1, 4)) {
    const auto& [tokens, targets] = sequence;
    EXPECT_TRUE(std::equal(tokens.begin() + 1, tokens.end(), targets.begin())) << sample;
    for (const int32_t token : tokens) EXPECT_TRUE(token >= 0 && token < 11) << token;
  }
}

}  // namespace
}  // namespace trireme::launch
