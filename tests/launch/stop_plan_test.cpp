#include "launch/stop_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme::launch {
namespace {

std::string reason(const std::vector<std::string>& signals) {
  return stop_reason(signals, "the limit");
}

TEST(StopPlan, CountsTheSavesThatLieBeforeTheEnd) {
  EXPECT_EQ(saves_before_stop(7, {.newest = 0, .in_flight = {}}), 1);
  EXPECT_EQ(saves_before_stop(7, {.newest = 4, .in_flight = {}}), 1);
  EXPECT_EQ(saves_before_stop(7, {.newest = 0, .in_flight = 4}), 2) << "that of 4 is waited for";
  EXPECT_EQ(saves_before_stop(7, {.newest = 4, .in_flight = 7}), 1) << "only its validation goes on";
  EXPECT_EQ(saves_before_stop(7, {.newest = 7, .in_flight = {}}), 0);
}

TEST(StopPlan, NamesTheRankWhereNotAllWereAsked) {
  EXPECT_EQ(reason({"SIGUSR1"}), "SIGUSR1");
  EXPECT_EQ(reason({"SIGUSR1", "SIGUSR1"}), "SIGUSR1");
  EXPECT_EQ(reason({"", "SIGTERM", ""}), "SIGTERM on rank 1");
  EXPECT_EQ(reason({"SIGINT", "SIGTERM"}), "SIGINT on rank 0") << "the first that is found";
  EXPECT_EQ(reason({"", ""}), "the limit");
}

TEST(StopPlan, SaysWhatIsDoneAndWhatIsLeft) {
  const std::string end = "ending, to be started again (exit 75)";
  StopPlan plan{.step = 7, .newest_saved = 4};
  EXPECT_TRUE(plan.saves());
  EXPECT_EQ(plan.text(), "saving step 7 and " + end + "; the same signal again ends at once");
  EXPECT_EQ(plan.loss_text(), "");
  plan.validates = true;
  EXPECT_EQ(plan.text(), "saving step 7 and " + end + " and validated then; the same signal again ends at once");
  EXPECT_EQ((StopPlan{.step = 7, .by_signal = false}).text(), "saving step 7 and " + end);
  plan.newest_saved = 7;
  EXPECT_FALSE(plan.saves());
  EXPECT_EQ(plan.text(), "step 7 is saved, " + end + " and validated then");
  plan.may_save = false;  // it need not
  EXPECT_EQ(plan.loss_text(), "");
  EXPECT_EQ((StopPlan{.step = 7, .newest_saved = 7, .rolls_back = true}.text()),
            "step 7 is saved, " + end + " and rolled back then");
}

TEST(StopPlan, WithoutTimeToSaveTheNextStartMakesTheStepAgain) {
  StopPlan plan{.step = 7, .newest_saved = 4, .may_save = false, .validates = true, .rolls_back = true};
  EXPECT_FALSE(plan.saves());
  EXPECT_EQ(plan.loss_text(), "step 7 is not saved; the newest checkpoint is step 4");
  EXPECT_EQ(plan.text(), "ending, to be started again (exit 75)") << "neither validates nor rolls back step 7";
  plan.newest_saved = 0;
  EXPECT_EQ(plan.loss_text(), "step 7 is not saved; there is no checkpoint yet");
}

}  // namespace
}  // namespace trireme::launch
