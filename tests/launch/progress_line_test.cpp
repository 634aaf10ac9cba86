#include "launch/progress_line.h"

#include <gtest/gtest.h>

#include <limits>

namespace trireme::launch {
namespace {

const StepRecord kRecord{.step = 120,
                         .tokens = 92160,
                         .loss = 2.43123,
                         .grad_norm = 0.8125,
                         .learning_rate = 6e-4,
                         .step_seconds = 0.5,
                         .tokens_per_second = 12345.4,
                         .mfu = {},
                         .phase_seconds = {},
                         .validation_loss = {}};

TEST(ProgressLine, PlainLineHasEverything) {
  EXPECT_EQ(plain_text(kRecord, 2000, 185),
            "step 120/2000  loss 2.4312  lr 0.0006  norm 0.812  12,345 tokens/s  3m 05s left");
}

TEST(ProgressLine, LastStepHasNoTimeLeft) {
  EXPECT_EQ(plain_text(kRecord, 120, 0), "step 120/120  loss 2.4312  lr 0.0006  norm 0.812  12,345 tokens/s");
}

TEST(ProgressLine, SkippedStepSaysSo) {
  StepRecord record = kRecord;
  record.loss = std::numeric_limits<double>::quiet_NaN();
  record.verdict = runtime::UpdateVerdict::not_finite;
  EXPECT_EQ(plain_text(record, 120, 0),
            "step 120/120  loss nan  lr 0.0006  norm 0.812  12,345 tokens/s  skipped: not finite");
  record.verdict = runtime::UpdateVerdict::outlier_grad_norm;
  EXPECT_TRUE(live_text(record, 120, 0, 200).ends_with("12,345 tokens/s  skipped: outlier norm"));
}

TEST(ProgressLine, LiveLineHasABarAndFitsTheTerminal) {
  EXPECT_EQ(live_text(kRecord, 240, 60, 200),
            "[##########..........]  50% 120/240  loss 2.4312  12,345 tokens/s  1m 00s left");
  EXPECT_EQ(live_text(kRecord, 240, 60, 30), "[##########..........]  50% 1");
  EXPECT_EQ(live_text(kRecord, 120, 0, 26), "[####################] 10");
}

TEST(ProgressLine, WithoutTerminalOnlyLoggedStepsAndValidationsAreLines) {
  testing::internal::CaptureStderr();
  {
    ProgressLine line(122, false);
    StepRecord record = kRecord;
    line.step(record, true);
    record.step = 121;
    line.step(record, false);
    line.validation(121, 2.5);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "step 120/122  loss 2.4312  lr 0.0006  norm 0.812  12,345 tokens/s  1s left\n"
            "step 121/122  validation loss 2.5000\n");
}

TEST(ProgressLine, LiveLineIsRedrawnInPlaceAndEnds) {
  testing::internal::CaptureStderr();
  {
    ProgressLine line(121, true);
    StepRecord record = kRecord;
    line.step(record, false);
    record.step = 121;
    line.step(record, false);  // the last step is drawn however soon it comes
    line.validation(121, 2.5);
    line.step(record, false);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.rfind("\r\x1b[K[", 0), 0u) << text;
  EXPECT_NE(text.find("121/121"), std::string::npos) << text;
  EXPECT_NE(text.find("\r\x1b[Kstep 121/121  validation loss 2.5000\n\r\x1b[K["), std::string::npos) << text;
  EXPECT_EQ(text.back(), '\n');
}

}  // namespace
}  // namespace trireme::launch
