// Who is named as slow in whole runs of two ranks: one with a busy loop in it (hangs/planted_faults.cpp), and nobody
// where they are alike.
#include <gtest/gtest.h>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// Steps of some 25 ms.
constexpr char kModel[] =
    R"({"model_type": "gpt2", "n_layer": 2, "n_head": 4, "n_embd": 128, "n_positions": 64, "vocab_size": 257})";

std::vector<std::string> train_words(const Workspace& space, const std::vector<std::string>& more) {
  std::vector<std::string> words =
      space.train_words("run", {"--global-batch-size", "16", "--validate-every", "0", "--checkpoint-every", "0"});
  words[4] = space.write("wide.json", kModel);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

int lines_with(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(SlowRankRuns, ABusyLoopIsNamedAndNoOtherRank) {
  Workspace space;
  space.prepare();
  // Once a step, in the sum of the losses; as long again as the step, or longer, on any machine.
  const ProgramResult result = run_trireme_ranks(
      2, train_words(space, {"--steps", "80"}),
      {.program = TRIREME_FAULTY_PROGRAM,
       .environment = {{"TRIREME_TEST_FAULT", "1 dp all_reduce 0 busy"}, {"TRIREME_TEST_BUSY_SECONDS", "0.05"}},
       .timeout_seconds = 115});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(lines_with(result.error, "planted fault: rank 1 busy"), 1) << result.error;
  EXPECT_EQ(lines_with(result.error, " is slow: "), 1) << result.error;
  EXPECT_EQ(lines_with(result.error, "trireme[0]: warning: rank 1 ("), 1) << result.error;
  int named = 0;
  for (const auto& line : space.log("run")) {
    if (!line.contains("slow_rank")) continue;
    ++named;
    EXPECT_EQ(line.at("slow_rank"), 1);
    EXPECT_EQ(line.at("busiest_rank"), 1);
    EXPECT_GT(line.at("slow_by").to_number<double>(), 1.25);
    const double busy = line.at("busy_seconds").to_number<double>();
    EXPECT_GT(busy, 0.05);
    EXPECT_LT(line.at("busy_seconds_median").to_number<double>(), busy);
  }
  EXPECT_GT(named, 0) << result.error;
}

/// Of a run of about five seconds, in which a verdict a second could name somebody.
void expect_nobody_is_named(const std::vector<std::string>& layout) {
  Workspace space;
  space.prepare();
  std::vector<std::string> words = train_words(space, {"--steps", "200"});
  words.insert(words.end(), layout.begin(), layout.end());
  const ProgramResult result = run_trireme_ranks(2, words, {.timeout_seconds = 115});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(lines_with(result.error, "slow"), 0) << result.error;
  int verdicts = 0;
  for (const auto& line : space.log("run")) {
    EXPECT_FALSE(line.contains("slow_rank"));
    if (!line.contains("busiest_rank")) continue;
    ++verdicts;
    // What is waited in is no part of it.
    EXPECT_LE(line.at("busy_seconds_median").to_number<double>(), line.at("busy_seconds").to_number<double>());
  }
  EXPECT_GE(verdicts, 3);
}

TEST(SlowRankRuns, AnEvenRunNamesNobody) {
  expect_nobody_is_named({});
}

TEST(SlowRankRuns, AnEvenPipelineNamesNobody) {
  expect_nobody_is_named({"--pipeline-parallel", "2"});
}

TEST(SlowRankRuns, ARankAloneHasNobodyToBeHeldAgainst) {
  Workspace space;
  space.prepare();
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "12"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  for (const auto& line : space.log("run")) EXPECT_FALSE(line.contains("busiest_rank"));
}

}  // namespace
}  // namespace trireme::tests
