#include "launch/stop_request.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "launch/step_votes.h"

namespace trireme::launch {
namespace {

void wait_for_a_second_signal() {
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
}

TEST(StopSignals, TheFirstIsNotedAndItsEchoesAreTheSame) {
  const StopSignals signals;
  EXPECT_EQ(StopSignals::noted(), 0);
  EXPECT_EQ(signal_name(StopSignals::noted()), "");
  std::raise(SIGUSR1);
  std::raise(SIGTERM);
  std::raise(SIGUSR1);
  EXPECT_EQ(signal_name(StopSignals::noted()), "SIGUSR1");
}

TEST(StopSignals, WhatWasBeforeComesBack) {
  for (const int signal : StopSignals::kSignals) {
    struct sigaction before {};
    struct sigaction during {};
    struct sigaction after {};
    sigaction(signal, nullptr, &before);
    {
      const StopSignals signals;
      sigaction(signal, nullptr, &during);
    }
    sigaction(signal, nullptr, &after);
    EXPECT_NE(during.sa_handler, before.sa_handler);
    EXPECT_EQ(after.sa_handler, before.sa_handler);
  }
}

TEST(StopSignalsDeathTest, ASecondOneEndsAtOnceAndSaysSo) {
  for (const int second : StopSignals::kSignals) {
    EXPECT_EXIT(
        {
          const StopSignals signals;
          std::raise(second);
          wait_for_a_second_signal();
          std::raise(second);
        },
        testing::ExitedWithCode(128 + second),
        "^trireme: " + signal_name(second) + ": the second one, ending at once\n$");
  }
}

TEST(StopSignals, SlurmsWarningAndItsEndAreNoSecondOfTheSameKind) {
  const StopSignals signals;
  std::raise(SIGUSR1);
  wait_for_a_second_signal();
  std::raise(SIGTERM);
  std::raise(SIGINT);
  EXPECT_EQ(signal_name(StopSignals::noted()), "SIGUSR1") << "the first is what it is stopped by";
}

TEST(StopSignalsDeathTest, OnceAllIsDoneASignalDoesNotChangeTheExitCode) {
  EXPECT_EXIT(
      {
        {
          const StopSignals signals;
          std::raise(SIGUSR1);
          wait_for_a_second_signal();
          StopSignals::finish();
        }
        std::raise(SIGTERM);
        _exit(75);
      },
      testing::ExitedWithCode(75), "^$");
}

TEST(StopSignalsDeathTest, ANewOneBeginsWithNothingNoted) {
  EXPECT_EXIT(
      {
        {
          const StopSignals signals;
          std::raise(SIGUSR1);
          StopSignals::finish();
        }
        const StopSignals again;
        const bool forgot = StopSignals::noted() == 0;
        std::raise(SIGTERM);
        _exit(forgot && StopSignals::noted() == SIGTERM ? 0 : 1);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST(StepVotes, TwoCountsOfAMillionRanksGoThroughOneSumOfDoubles) {
  constexpr int64_t kRanks = StepVotes::kUnit - 1;
  for (const int64_t ready : {int64_t{0}, int64_t{1}, kRanks}) {
    for (const int64_t stop : {int64_t{0}, int64_t{1}, kRanks}) {
      const StepVotes sum{.save_ready = ready, .stop = stop};
      const double sent = static_cast<double>(sum.packed());
      EXPECT_EQ(StepVotes::unpacked(static_cast<int64_t>(sent)), sum);
      EXPECT_EQ(sent + 1, static_cast<double>(sum.packed() + 1)) << "no digit is lost when one more is added";
    }
  }
  EXPECT_EQ((StepVotes{.save_ready = 1, .stop = 1}.packed() + StepVotes{.save_ready = 1, .stop = 0}.packed()),
            (StepVotes{.save_ready = 2, .stop = 1}.packed()));
}

}  // namespace
}  // namespace trireme::launch
