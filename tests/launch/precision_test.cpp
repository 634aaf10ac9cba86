// train --precision and --recompute, as a user runs them.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

using Words = std::vector<std::string>;

void expect_equal_logs(const Workspace& space, const std::string& a, const std::string& b) {
  const auto left = space.log(a);
  const auto right = space.log(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].at("loss"), right[i].at("loss")) << "step " << i + 1;
    EXPECT_EQ(left[i].at("grad_norm"), right[i].at("grad_norm")) << "step " << i + 1;
  }
}

double last_loss(const Workspace& space, const std::string& run) {
  return space.log(run).back().at("validation_loss").to_number<double>();
}

TEST(Precision, StoppedAndResumedInBf16IsStraightBitForBit) {
  Workspace space;
  space.prepare();
  const Words common{"--steps", "40", "--precision", "bf16", "--dropout", "0.1"};
  Words half = common;
  half.insert(half.end(), {"--stop-at-step", "20"});
  const ProgramResult result = run_trireme(space.train_words("straight", common));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find(", bf16, recompute none"), std::string::npos) << result.error;
  ASSERT_EQ(run_trireme(space.train_words("resumed", half)).exit_code, 0);
  ASSERT_EQ(run_trireme(space.train_words("resumed", common)).exit_code, 0);
  const ProgramResult diff = run_trireme({"checkpoint", "diff", space.path("straight"), space.path("resumed")});
  EXPECT_EQ(diff.exit_code, 0) << diff.output << diff.error;
  expect_equal_logs(space, "straight", "resumed");
  EXPECT_LT(last_loss(space, "straight"), space.log("straight").front().at("loss").to_number<double>() - 1);
}

TEST(Precision, Bf16FollowsFp32) {
  Workspace space;
  space.prepare();
  for (const char* precision : {"fp32", "bf16"}) {
    const ProgramResult result = run_trireme(space.train_words(precision, {"--steps", "60", "--precision", precision}));
    ASSERT_EQ(result.exit_code, 0) << result.error;
  }
  // Other roundings, and so another run; a bf16 number has three digits.
  EXPECT_NEAR(last_loss(space, "bf16"), last_loss(space, "fp32"), 0.03);
  EXPECT_NE(space.log("bf16").back().at("loss"), space.log("fp32").back().at("loss"));
}

TEST(Precision, MayNotChangeAtAResume) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "2"})).exit_code, 0);
  expect_refused(
      run_trireme(space.train_words("run", {"--steps", "4", "--precision", "bf16"})), 2,
      R"(--precision is "bf16", but --run )" + space.path("run") + R"( was trained with "fp32"; repeat that)");
}

class PrecisionOfARun : public testing::TestWithParam<const char*> {};

/// What evaluate and generate say of one checkpoint: without --precision it is to the bit what the run's own gives.
TEST_P(PrecisionOfARun, IsTheDefaultOfEvaluateAndGenerate) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "40", "--precision", GetParam()})).exit_code, 0);
  const auto output = [&](Words words, const std::string& precision) {
    words.insert(words.begin() + 1, {"--model", space.path("run")});
    if (!precision.empty()) words.insert(words.end(), {"--precision", precision});
    const ProgramResult result = run_trireme(words);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.output;
  };
  const Words evaluate{"evaluate", "--data", space.path("data")};
  // Each of the many draws has a chance to fall on another token by the other precision's logits.
  const Words generate{"generate", "--prompt", "the ship", "--max-new-tokens", "1000"};
  for (const Words& words : {evaluate, generate}) {
    EXPECT_EQ(output(words, ""), output(words, GetParam()));
    EXPECT_NE(output(words, "fp32"), output(words, "bf16"));
  }
  EXPECT_EQ(output(generate, "").rfind("the ship", 0), 0u);
  const auto loss = [&](const std::string& precision) { return std::stod(output(evaluate, precision).substr(5)); };
  EXPECT_NEAR(loss(""), last_loss(space, "run"), 1e-6);  // evaluate prints six places
  EXPECT_NEAR(loss("bf16"), loss("fp32"), 1e-2);         // a bf16 number has three digits
}

INSTANTIATE_TEST_SUITE_P(Both, PrecisionOfARun, testing::Values("fp32", "bf16"),
                         [](const auto& test) { return std::string(test.param); });

/// Like a layout it is how a step is computed and no part of what was trained: checkpoints do not know it.
TEST(Recompute, IsTheSameRunToTheBitAndMayChange) {
  Workspace space;
  space.prepare();
  const auto train = [&](const std::string& run, const Words& more) {
    Words words = space.train_words(run, {"--steps", "12", "--dropout", "0.1"});
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_trireme(words);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.error;
  };
  train("none", {});
  train("full", {"--recompute", "full"});
  train("changed", {"--stop-at-step", "6"});
  const std::string said = train("changed", {"--recompute", "selective"});
  EXPECT_NE(said.find(", fp32, recompute selective"), std::string::npos) << said;
  EXPECT_EQ(said.find("from step 6 on"), std::string::npos) << said;
  for (const char* other : {"full", "changed"}) {
    expect_equal_logs(space, "none", other);
    const ProgramResult diff = run_trireme({"checkpoint", "diff", space.path("none"), space.path(other)});
    EXPECT_EQ(diff.exit_code, 0) << diff.output << diff.error;
  }
  const auto config = boost::json::parse(space.read("full/config.json")).as_object();
  EXPECT_EQ(config.at("options").at("recompute"), "full");
}

}  // namespace
}  // namespace trireme::tests
