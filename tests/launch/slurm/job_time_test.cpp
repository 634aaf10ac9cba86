#include "launch/slurm/job_time.h"

#include <gtest/gtest.h>

#include <cmath>

namespace trireme::launch {
namespace {

TEST(JobTime, IsReadAsSbatchReadsIt) {
  EXPECT_EQ(slurm_seconds("90"), 90 * 60);
  EXPECT_EQ(slurm_seconds("5:30"), 330);
  EXPECT_EQ(slurm_seconds("12:00:01"), 43201);
  EXPECT_EQ(slurm_seconds("2-3"), 51 * 3600);
  EXPECT_EQ(slurm_seconds("2-03:04"), 51 * 3600 + 4 * 60);
  EXPECT_EQ(slurm_seconds("1-02:03:04"), 86400 + 7384);
  for (const char* endless : {"0", "INFINITE", "UNLIMITED"})
    EXPECT_TRUE(std::isinf(*slurm_seconds(endless))) << endless;
}

TEST(JobTime, OtherTextIsNone) {
  for (const char* text : {"", "x", "1h", "-5", "1:", ":1", "1:2:3:4", "1-", "1-2-3", "1:2-3", "+1", "1 ", "1.5"}) {
    EXPECT_EQ(slurm_seconds(text), std::nullopt) << text;
  }
}

TEST(JobTime, TheWarningLeavesMostOfAShortLimit) {
  EXPECT_EQ(warning_seconds(*slurm_seconds("0")), 120);
  EXPECT_EQ(warning_seconds(24 * 3600), 120);
  EXPECT_EQ(warning_seconds(720), 120);
  EXPECT_EQ(warning_seconds(180), 30);
}

}  // namespace
}  // namespace trireme::launch
