#include "launch/time_limit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace trireme::launch {
namespace {

TEST(TimeLimit, DurationsAreReadAsPeopleAndSlurmWriteThem) {
  EXPECT_EQ(parse_duration("90"), 90);
  EXPECT_EQ(parse_duration("0.5"), 0.5);
  EXPECT_EQ(parse_duration("90s"), 90);
  EXPECT_EQ(parse_duration("30m"), 1800);
  EXPECT_EQ(parse_duration("1.5h"), 5400);
  EXPECT_EQ(parse_duration("2d"), 172800);
  EXPECT_EQ(parse_duration("3650d"), kMostSeconds);
  EXPECT_EQ(parse_duration("05:09"), 309);
  EXPECT_EQ(parse_duration("0:00"), 0);
  EXPECT_EQ(parse_duration("12:00:01"), 43201);
  EXPECT_EQ(parse_duration("1-02:03:04"), 93784);
}

TEST(TimeLimit, OtherWordsAreNoDurations) {
  for (const char* text : {"",
                           "m",
                           "-5",
                           "1-5",
                           "1-05:06",
                           "1:2:3:4",
                           ":30",
                           "5:",
                           "1 h",
                           "UNLIMITED",
                           "NOT_SET",
                           "INVALID",
                           "inf",
                           "nan",
                           "1e999",
                           "5x",
                           "1:-2",
                           "d-1:00:00",
                           "3mm",
                           "1e300",
                           "1e308d",
                           "3651d",
                           "99999999999999:00:00"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(TimeLimit, TheEarlierOfAskedAndSlurmsCounts) {
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_JOB_END_TIME");
  EXPECT_FALSE(find_time_limit(std::nullopt));
  const double now = steady_seconds();
  const auto asked = find_time_limit(3600);
  ASSERT_TRUE(asked);
  EXPECT_LE(asked->end_seconds, steady_seconds() + 3600);
  EXPECT_GE(asked->end_seconds, now + 3000) << "since this program's start, which was a moment ago";
  EXPECT_EQ(asked->name, "time limit of 1h 00m (--time-limit)");

  setenv("SLURM_JOB_ID", "77", 1);
  setenv("SLURM_JOB_END_TIME", std::to_string(std::time(nullptr) + 1000).c_str(), 1);
  for (const std::optional<double> option : {std::optional<double>(), std::optional<double>(3600)}) {
    const auto limit = find_time_limit(option);
    ASSERT_TRUE(limit);
    EXPECT_NEAR(limit->end_seconds, steady_seconds() + 1000, 3);
    EXPECT_EQ(limit->name, "time limit of Slurm job 77");
  }
  EXPECT_EQ(find_time_limit(500)->name, "time limit of 8m 20s (--time-limit)");
  setenv("SLURM_JOB_END_TIME", "1e300", 1);  // no time that a date could be made of
  EXPECT_EQ(find_time_limit(kMostSeconds)->name, "time limit of 3650d 00h (--time-limit)");
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_JOB_END_TIME");
}

void add_step(TimeBudget& budget, double seconds) {
  budget.begin_step(500);
  budget.end_step(500 + seconds);
}

TEST(TimeBudget, StopsWhileTwoOfTheLongestRecentStepsAndASaveStillFitWithAMargin) {
  TimeBudget budget({.end_seconds = 1000, .name = "limit"}, 99);
  EXPECT_TRUE(budget.must_stop(1000 - 151, 1)) << "1.5 x 99 + 3 by the estimate";
  EXPECT_FALSE(budget.must_stop(1000 - 152, 1));
  budget.add_save(4);  // measured: the estimate is forgotten
  budget.add_save(2);  // the longest counts
  EXPECT_TRUE(budget.must_stop(1000 - 8.9, 1));
  EXPECT_FALSE(budget.must_stop(1000 - 9.1, 1));
  add_step(budget, 10);
  add_step(budget, 3);
  EXPECT_TRUE(budget.must_stop(1000 - 38.9, 1)) << "1.5 x (2 x 10 + 4) + 3 = 39";
  EXPECT_FALSE(budget.must_stop(1000 - 39.1, 1));
  EXPECT_TRUE(budget.must_stop(1000 - 44.9, 2)) << "one in flight, 45";
  EXPECT_FALSE(budget.must_stop(1000 - 45.1, 2));
  EXPECT_TRUE(budget.must_stop(1000 - 32.9, 0)) << "what is there is saved, 33";
  EXPECT_FALSE(budget.must_stop(1000 - 33.1, 0));
  for (int i = 0; i < 15; ++i) add_step(budget, 3);  // 16 of 3 s by now: the long first step is long ago
  EXPECT_TRUE(budget.must_stop(1000 - 17.9, 1)) << "1.5 x (2 x 3 + 4) + 3 = 18";
  EXPECT_FALSE(budget.must_stop(1000 - 18.1, 1));
  for (int i = 0; i < 15; ++i) budget.add_save(2);  // and so is the long first save
  EXPECT_TRUE(budget.must_stop(1000 - 14.9, 1)) << "1.5 x (2 x 3 + 2) + 3 = 15";
  EXPECT_FALSE(budget.must_stop(1000 - 15.1, 1));
}

TEST(TimeBudget, CountsTheStepThatIsBeingMade) {
  TimeBudget budget({.end_seconds = 1000, .name = "limit"}, 4);
  budget.begin_step(900);  // the first
  EXPECT_FALSE(budget.must_stop(922, 1)) << "1.5 x (2 x 22 + 4) + 3 = 75 of 78 s";
  EXPECT_TRUE(budget.must_stop(923, 1)) << "1.5 x (2 x 23 + 4) + 3 = 78 of 77 s";
  budget.end_step(930);
  budget.begin_step(930);
  EXPECT_TRUE(budget.must_stop(930, 0)) << "1.5 x 2 x 30 + 3 = 93 of 70 s: the longest counts, not the latest";
}

TEST(TimeBudget, KnowsWhetherASaveEndsInTimeAndSaysWhatIsLeft) {
  TimeBudget budget({.end_seconds = 1000, .name = "time limit of Slurm job 77"}, 20);
  EXPECT_TRUE(budget.may_save(999)) << "an estimate is no reason to give a step up";
  EXPECT_EQ(budget.text(960), "time limit of Slurm job 77: 40 s left, a save takes 20 s by an estimate");
  budget.add_save(125);
  EXPECT_TRUE(budget.may_save(875));
  EXPECT_FALSE(budget.may_save(876));
  EXPECT_EQ(budget.text(1001), "time limit of Slurm job 77: 0.0 s left, a save takes 2m 05s");
}

TEST(TimeBudget, EstimatesASaveByItsBytes) {
  EXPECT_EQ(estimated_save_seconds(1'500'000'000), 16);
}

}  // namespace
}  // namespace trireme::launch
