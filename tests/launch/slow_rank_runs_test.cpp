// Who is named as slow in whole runs of two ranks: one with a busy loop in it (hangs/planted_faults.cpp), and nobody
// where they are alike.
#include <gtest/gtest.h>

#include <algorithm>

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

/// 0 of none.
double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// What an even run says of its ranks, which is that nobody is slow.
struct EvenRun {
  int verdicts = 0;
  double busy_part = 0;  ///< of a step: the medians over the run of the ranks' median and of steps
};

EvenRun even_run(const std::vector<std::string>& layout, int steps) {
  Workspace space;
  space.prepare();
  std::vector<std::string> words = train_words(space, {"--steps", std::to_string(steps)});
  words.insert(words.end(), layout.begin(), layout.end());
  const ProgramResult result = run_trireme_ranks(2, words, {.timeout_seconds = 115});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(lines_with(result.error, "slow"), 0) << result.error;
  std::vector<double> busy;
  std::vector<double> taken;
  for (const auto& line : space.log("run")) {
    EXPECT_FALSE(line.contains("slow_rank"));
    taken.push_back(line.at("step_seconds").to_number<double>());
    if (line.contains("busiest_rank")) busy.push_back(line.at("busy_seconds_median").to_number<double>());
  }
  return {.verdicts = static_cast<int>(busy.size()), .busy_part = median(busy) / median(taken)};
}

/// Of a run that lasts for three verdicts, by which somebody could be named: they come by the second.
EvenRun long_even_run(const std::vector<std::string>& layout) {
  EvenRun run;
  for (int steps = 200; run.verdicts < 3 && steps <= 6400 && !testing::Test::HasFailure(); steps *= 2) {
    run = even_run(layout, steps);
  }
  EXPECT_GE(run.verdicts, 3);
  return run;
}

TEST(SlowRankRuns, AnEvenRunNamesNobody) {
  // It has little to wait for, though neighbours on the machine may make a rank wait for the other.
  EXPECT_GT(long_even_run({}).busy_part, 0.2);
}

TEST(SlowRankRuns, AnEvenPipelineNamesNobody) {
  // Of 4 microbatches on 2 stages a rank waits for one in five or longer: what is waited in is no part of it.
  const double busy_part = long_even_run({"--pipeline-parallel", "2"}).busy_part;
  EXPECT_GT(busy_part, 0.2);
  EXPECT_LT(busy_part, 0.9);
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
