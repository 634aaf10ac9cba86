#include "launch/trace_calls.h"

#include <gtest/gtest.h>

namespace trireme::launch {
namespace {

CallEntry entry(int64_t group, int64_t first_member, int64_t position, double entered) {
  return {.group = group, .first_member = first_member, .members = 2, .position = position, .entered = entered};
}

TEST(LastEntrants, TheLastOneAndByHowMuch) {
  std::vector<std::vector<CallEntry>> ranks(3);
  for (size_t rank = 0; rank < 3; ++rank) {
    const double entered = rank == 1 ? 5.0 : 1.0 + static_cast<double>(rank);
    ranks[rank].push_back({.group = 0, .first_member = 0, .members = 3, .position = 7, .entered = entered});
  }
  const auto last = last_entrants(ranks);
  for (const auto& of_rank : last) {
    EXPECT_EQ(of_rank.at(0).rank, 1);
    EXPECT_EQ(of_rank.at(0).entered, 5);
    EXPECT_EQ(of_rank.at(0).by, 2);  // rank 2 entered at 3
  }
}

TEST(LastEntrants, GroupsOfOneSplitAndPositionsAreKeptApart) {
  // Ranks 0, 1 and ranks 2, 3 are groups of one split; calls of two positions, in any order.
  const std::vector<std::vector<CallEntry>> ranks{{entry(4, 0, 0, 1), entry(4, 0, 1, 9)},
                                                  {entry(4, 0, 0, 2), entry(4, 0, 1, 8)},
                                                  {entry(4, 2, 1, 3), entry(4, 2, 0, 7)},
                                                  {entry(4, 2, 1, 4), entry(4, 2, 0, 6)}};
  const auto last = last_entrants(ranks);
  const std::vector<std::vector<int64_t>> expected{{1, 0}, {1, 0}, {3, 2}, {3, 2}};
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    for (size_t call = 0; call < 2; ++call) {
      EXPECT_EQ(last[rank].at(call).rank, expected[rank][call]);
      EXPECT_EQ(last[rank][call].by, 1);
    }
  }
}

TEST(LastEntrants, ACallThatNotAllRecordedHasNone) {
  const auto last = last_entrants({{entry(1, 0, 0, 1)}, {}});
  EXPECT_EQ(last.at(0).at(0).rank, -1);
  EXPECT_TRUE(last.at(1).empty());
}

}  // namespace
}  // namespace trireme::launch
