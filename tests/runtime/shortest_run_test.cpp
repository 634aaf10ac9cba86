#include "runtime/shortest_run.h"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

using std::chrono::milliseconds;

void sleep(milliseconds time) {
  std::this_thread::sleep_for(time);
}

TEST(ShortestRun, LongRunsAreRepeatedAllTheSame) {
  int runs = 0;
  const double shortest = shortest_run(0, [&] {
    ++runs;
    sleep(milliseconds(2));
  });
  EXPECT_EQ(runs, 1 + kLeastTimedRuns);
  EXPECT_GE(shortest, 2e-3);
}

TEST(ShortestRun, WarmingUpCountsNeitherAsARunNorAsTime) {
  int runs = 0;
  shortest_run(0.03, [&] { sleep(milliseconds(runs++ == 0 ? 60 : 1)); });
  EXPECT_GT(runs, 1 + kLeastTimedRuns);  // each takes a millisecond and a little: some twenty fit
  runs = 0;
  const double shortest = shortest_run(0, [&] { sleep(milliseconds(runs++ == 0 ? 0 : 4)); });
  EXPECT_GE(shortest, 4e-3);
}

TEST(ShortestRun, TheShortestCounts) {
  int runs = 0;
  const double shortest = shortest_run(0, [&] { sleep(milliseconds(runs++ == 3 ? 0 : 50)); });
  EXPECT_LT(shortest, 0.05);
}

}  // namespace
}  // namespace trireme::runtime
