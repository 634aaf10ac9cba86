#include "launch/slow_rank.h"

#include <gtest/gtest.h>

namespace trireme::launch {
namespace {

/// Of a step of 1 Gflop; even the fast quarter of the steps takes `low` of the median.
BusyTimes times(double seconds, double low = 0.95) {
  return {.seconds = seconds, .low_seconds = low * seconds, .flops = 1e9, .step_seconds = 2 * seconds};
}

BusyTimes times_of_work(double seconds, double flops, double stage = 0) {
  return {.seconds = seconds, .low_seconds = seconds, .flops = flops, .stage = stage, .step_seconds = seconds};
}

SlowRanks judge_of(size_t ranks) {
  std::vector<std::string> hosts;
  for (size_t rank = 0; rank < ranks; ++rank) hosts.push_back("node" + std::to_string(rank / 2));
  return SlowRanks(hosts);
}

/// The rank that is named after so many intervals of these; -1: nobody.
int named_after(int intervals, const std::vector<BusyTimes>& ranks) {
  SlowRanks judge = judge_of(ranks.size());
  BusyVerdict verdict;
  for (int i = 0; i < intervals; ++i) verdict = judge.judge(ranks);
  return verdict.slow ? verdict.slow->rank : -1;
}

TEST(SlowRank, ThreeIntervalsInARowNameIt) {
  SlowRanks judge = judge_of(4);
  const std::vector<BusyTimes> ranks{times(1), times(1.02), times(1.01), times(1.8)};
  EXPECT_FALSE(judge.judge(ranks).slow);
  EXPECT_FALSE(judge.judge(ranks).slow);
  const BusyVerdict third = judge.judge(ranks);
  ASSERT_TRUE(third.slow);
  EXPECT_EQ(third.slow->rank, 3);
  EXPECT_DOUBLE_EQ(third.slow->by, 1.8 / 1.01);  // the median of the others
  EXPECT_EQ(third.named, "rank 3 (node1) is slow: 1.8 x the others' time a step");
  EXPECT_EQ(third.busiest_rank, 3);
  EXPECT_EQ(third.busy_seconds, 1.8);
  EXPECT_DOUBLE_EQ(third.busy_seconds_median, 1.015);
  EXPECT_EQ(third.busy_seconds_least, 1);
  const BusyVerdict fourth = judge.judge(ranks);
  EXPECT_TRUE(fourth.slow);
  EXPECT_EQ(fourth.named, "");  // it was said
}

TEST(SlowRank, EvenRanksNameNobody) {
  EXPECT_EQ(named_after(50, {times(1), times(1.2)}), -1);
  EXPECT_EQ(named_after(50, {times(1), times(1), times(1.1), times(0.9)}), -1);
  const BusyVerdict verdict = judge_of(2).judge(std::vector<BusyTimes>{times(1), times(1.2)});
  EXPECT_EQ(verdict.busiest_rank, 1);
  EXPECT_DOUBLE_EQ(verdict.busy_seconds_median, 1.1);
}

TEST(SlowRank, OfTwoRanksTheSlowerOneIsNamedEitherWay) {
  EXPECT_EQ(named_after(3, {times(1.5), times(1)}), 0);
  EXPECT_EQ(named_after(3, {times(1), times(1.5)}), 1);
}

TEST(SlowRank, StepsThatOnlySometimesTakeLongerAreNoise) {
  // Half of the steps were disturbed, and the median with them, but a quarter was as fast as the others'.
  EXPECT_EQ(named_after(50, {times(1), times(1.8, 0.6)}), -1);
  // A slow rank beside one that is disturbed: the median of the others is not moved by one of them.
  EXPECT_EQ(named_after(3, {times(1), times(1.5), times(4, 0.25), times(1)}), 1);
}

TEST(SlowRank, AnIntervalBetweenBeginsAnew) {
  SlowRanks judge = judge_of(2);
  const std::vector<BusyTimes> slow{times(1), times(1.6)};
  const std::vector<BusyTimes> even{times(1), times(1)};
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(judge.judge(slow).slow);
    EXPECT_FALSE(judge.judge(slow).slow);
    EXPECT_FALSE(judge.judge(even).slow);
  }
}

TEST(SlowRank, ItsEndIsSaidOnceAndSoIsTheNextOne) {
  SlowRanks judge = judge_of(2);
  const std::vector<BusyTimes> slow{times(1), times(1.6)};
  const std::vector<BusyTimes> even{times(1), times(1)};
  const std::vector<BusyTimes> other{times(2), times(1)};
  for (int i = 0; i < 3; ++i) judge.judge(slow);
  for (int i = 0; i < 2; ++i) {
    const BusyVerdict verdict = judge.judge(even);
    EXPECT_TRUE(verdict.slow);
    EXPECT_EQ(verdict.named + verdict.ended, "");
  }
  EXPECT_TRUE(judge.judge(slow).slow);  // it was not over
  for (int i = 0; i < 2; ++i) EXPECT_EQ(judge.judge(other).named, "");
  const BusyVerdict third = judge.judge(other);
  EXPECT_EQ(third.ended, "rank 1 (node0) is no longer slow");
  EXPECT_EQ(third.named, "rank 0 (node0) is slow: 2.0 x the others' time a step");
  for (int i = 0; i < 2; ++i) judge.judge(even);
  const BusyVerdict last = judge.judge(even);
  EXPECT_EQ(last.ended, "rank 0 (node0) is no longer slow");
  EXPECT_FALSE(last.slow);
  EXPECT_EQ(judge.judge(even).ended, "");
}

TEST(SlowRank, RanksOfASlowHostDoNotTakeTurnsInTheLog) {
  SlowRanks judge = judge_of(6);
  int lines = 0;
  for (int i = 0; i < 20; ++i) {
    const double more = i % 2;
    const BusyVerdict verdict = judge.judge(
        std::vector<BusyTimes>{times(1), times(1), times(1), times(1), times(1.5 + more), times(2.5 - more)});
    lines += verdict.named.empty() ? 0 : 1;
    lines += verdict.ended.empty() ? 0 : 1;
  }
  EXPECT_EQ(lines, 1);
}

TEST(SlowRank, StagesAreComparedByTheirFlops) {
  // Twice the flops in twice the time, or in two and a half times: an even pipeline whose ops differ.
  EXPECT_EQ(named_after(50, {times_of_work(1, 1e9), times_of_work(2, 2e9, 1)}), -1);
  EXPECT_EQ(named_after(50, {times_of_work(1, 1e9), times_of_work(2.5, 2e9, 1)}), -1);
  EXPECT_EQ(named_after(3, {times_of_work(1, 1e9), times_of_work(3.2, 2e9, 1)}), 1);
  // Less work in the same time.
  EXPECT_EQ(named_after(3, {times_of_work(1, 0.5e9), times_of_work(1, 1e9, 1), times_of_work(1, 1e9, 1)}), 0);
}

TEST(SlowRank, StagesOfEqualFlopsMayTakeDifferentTimes) {
  std::vector<BusyTimes> ranks{times_of_work(1, 1e9, 0), times_of_work(1.3, 1e9, 1)};
  EXPECT_EQ(named_after(50, ranks), -1);
  ranks[1].stage = 0;  // of one stage it is named
  EXPECT_EQ(named_after(3, ranks), 1);
  EXPECT_EQ(named_after(50, {times_of_work(1, 1e9, 0), times_of_work(1, 1e9, 0), times_of_work(1.3, 1e9, 1),
                             times_of_work(1.3, 1e9, 1)}),
            -1);
}

TEST(SlowRank, RanksOfOneStageAreHeldAgainstEachOtherMoreClosely) {
  const std::vector<BusyTimes> ranks{times_of_work(1, 1e9), times_of_work(1.3, 1.0001e9), times_of_work(3, 3e9, 1),
                                     times_of_work(3, 3e9, 1)};
  EXPECT_EQ(named_after(3, ranks), 1);
  // Both ranks of a stage, on a slow host.
  EXPECT_EQ(named_after(3, {times_of_work(2, 1e9), times_of_work(2, 1e9), times_of_work(1.1, 1.1e9, 1),
                            times_of_work(1.1, 1.1e9, 1), times_of_work(1, 1e9, 2), times_of_work(1, 1e9, 2)}),
            0);
}

TEST(SlowRank, WithoutFlopsTimesAloneCount) {
  EXPECT_EQ(named_after(3, {times_of_work(1, 0), times_of_work(1.5, 0)}), 1);
  EXPECT_EQ(named_after(50, {times_of_work(0, 0), times_of_work(0, 0)}), -1);
}

}  // namespace
}  // namespace trireme::launch
