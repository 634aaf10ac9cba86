// The program on a GPU, as a user runs it. Linked against the emulation it needs none.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

using Words = std::vector<std::string>;

/// 20 steps of a tiny model at most: the emulation is slow.
Words train_words(const Workspace& space, const std::string& run, const std::string& device, const Words& more) {
  Words words = space.train_words(run, {"--steps", "8", "--sequence-length", "16", "--microbatch-size", "4",
                                        "--dropout", "0.1", "--device", device});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

ProgramResult train(const Workspace& space, const std::string& run, const std::string& device, const Words& more = {}) {
  ProgramResult result = run_trireme(train_words(space, run, device, more), {.timeout_seconds = 240});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  return result;
}

void expect_close_logs(const Workspace& space, const std::string& a, const std::string& b, double tolerance) {
  const auto left = space.log(a);
  const auto right = space.log(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    for (const char* key : {"loss", "grad_norm"}) {
      const double expected = right[i].at(key).to_number<double>();
      EXPECT_NEAR(left[i].at(key).to_number<double>(), expected, tolerance * expected) << key << ", step " << i + 1;
    }
  }
}

void expect_same_checkpoints(const Workspace& space, const std::string& a, const std::string& b) {
  const ProgramResult diff = run_trireme({"checkpoint", "diff", space.path(a), space.path(b)});
  EXPECT_EQ(diff.exit_code, 0) << diff.output << diff.error;
}

/// Everything of a short training: data, two microbatches a step, dropout, clipping, validation, checkpoint.
TEST(CudaTrain, FollowsTheCpu) {
  Workspace space;
  space.prepare();
  train(space, "cpu", "cpu");
  const ProgramResult result = train(space, "cuda", "cuda");
  EXPECT_NE(result.error.find("1 rank on "), std::string::npos) << result.error;
  // Sums in another order, and eight updates of them.
  expect_close_logs(space, "cuda", "cpu", 1e-5);
  EXPECT_NEAR(space.log("cuda").back().at("validation_loss").to_number<double>(),
              space.log("cpu").back().at("validation_loss").to_number<double>(), 1e-4);
}

TEST(CudaTrain, Bf16FollowsTheCpusBf16) {
  Workspace space;
  space.prepare();
  train(space, "cpu", "cpu", {"--precision", "bf16"});
  train(space, "cuda", "cuda", {"--precision", "bf16"});
  // Both round every activation to 2^-9 of itself, each where its sums fall.
  expect_close_logs(space, "cuda", "cpu", 1e-2);
}

TEST(CudaTrain, StoppedAndResumedIsStraightBitForBit) {
  Workspace space;
  space.prepare();
  train(space, "straight", "cuda");
  train(space, "resumed", "cuda", {"--stop-at-step", "3"});
  train(space, "resumed", "cuda");
  expect_same_checkpoints(space, "straight", "resumed");
}

TEST(CudaTrain, TwoRunsAreBitEqual) {
  Workspace space;
  space.prepare();
  for (const char* run : {"a", "b"}) train(space, run, "cuda", {"--precision", "bf16", "--recompute", "selective"});
  expect_same_checkpoints(space, "a", "b");
}

TEST(CudaTrain, ResumesOnTheCpuAndIsEvaluatedThere) {
  Workspace space;
  space.prepare();
  train(space, "moved", "cuda", {"--stop-at-step", "4"});
  train(space, "moved", "cpu");
  train(space, "cpu", "cpu");
  expect_close_logs(space, "moved", "cpu", 1e-5);
  const auto loss = [&](const std::string& device) {
    const ProgramResult result = run_trireme({"evaluate", "--model", space.path("moved"), "--data", space.path("data"),
                                              "--device", device, "--sequence-length", "16"},
                                             {.timeout_seconds = 120});
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return std::stod(result.output.substr(5));
  };
  EXPECT_NEAR(loss("cuda"), loss("cpu"), 1e-4);
}

TEST(CudaTrain, GeneratesTheSameText) {
  Workspace space;
  space.prepare();
  train(space, "run", "cpu", {"--dropout", "0"});
  const auto text = [&](const std::string& device) {
    const ProgramResult result = run_trireme({"generate", "--model", space.path("run"), "--prompt", "the ship",
                                              "--max-new-tokens", "40", "--temperature", "0", "--device", device},
                                             {.timeout_seconds = 120});
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.output;
  };
  EXPECT_EQ(text("cuda"), text("cpu"));
}

TEST(CudaTrain, ProfileNamesTheOpsOfTheGpu) {
  Workspace space;
  space.prepare();
  const ProgramResult result = train(space, "run", "cuda", {"--profile"});
  for (const char* op : {"linear_forward", "attention_backward", "adamw_update"}) {
    EXPECT_NE(result.error.find(op), std::string::npos) << result.error;
  }
}

TEST(CudaTrain, SeveralRanksAreRefused) {
  Workspace space;
  space.prepare();
  const ProgramResult result = run_trireme_ranks(2, train_words(space, "run", "cuda", {}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.error.find("--device cuda computes on one GPU so far, and 2 ranks were started"), std::string::npos)
      << result.error;
}

}  // namespace
}  // namespace trireme::tests
