#include "launch/prepare_progress.h"

#include <gtest/gtest.h>

#include <thread>

namespace trireme::launch {
namespace {

using data::PreparePhase;

TEST(PrepareProgress, TellsThePhaseTheRateAndTheRest) {
  data::PrepareProgress now{.phase = PreparePhase::survey, .bytes = 500'000'000, .total_bytes = 2'000'000'000};
  EXPECT_EQ(prepare_text(now, 500'000'000, 10), "reading text  25%  500.0 MB of 2.0 GB  50.0 MB/s  30s left");
  now.phase = PreparePhase::learn;
  EXPECT_EQ(prepare_text(now, 0, 0), "learning tokenizer  25%  500.0 MB of 2.0 GB");
  now = {.phase = PreparePhase::write, .bytes = 2'000'000'000, .total_bytes = 2'000'000'000};
  EXPECT_EQ(prepare_text(now, 500'000'000, 10), "writing tokens  100%  2.0 GB of 2.0 GB  50.0 MB/s");
}

TEST(PrepareProgress, WhatAResumedRunSkipsIsNoRate) {
  testing::internal::CaptureStderr();
  {
    PrepareLine line(true);
    data::PrepareProgress now{.phase = PreparePhase::write, .bytes = 1'000'000'000, .total_bytes = 2'000'000'000};
    line.show(now);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    line.show(now);
  }
  const std::string drawn = "\rwriting tokens  50%  1.0 GB of 2.0 GB\x1b[K";
  EXPECT_EQ(testing::internal::GetCapturedStderr(), drawn + drawn + "\r\x1b[K");
}

}  // namespace
}  // namespace trireme::launch
