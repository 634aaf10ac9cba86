// train --trace, as a user runs it.
#include <gtest/gtest.h>

#include "tests/launch/parsed_trace.h"
#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

TEST(TraceRuns, TwoStagesWithDataSavesAndValidation) {
  Workspace space;
  space.prepare();
  const std::string file = space.path("trace.json");
  const ProgramResult result = run_trireme_ranks(
      2, space.train_words("run", {"--steps", "8", "--pipeline-parallel", "2", "--trace", file, "--trace-steps", "4",
                                   "--trace-skip", "2", "--checkpoint-every", "4", "--validate-every", "5"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("trace of 4 steps from step 3 on: " + file), std::string::npos) << result.error;
  const ParsedTrace trace = parse_trace(space.read("trace.json"));
  expect_rows_nest(trace);
  EXPECT_EQ(trace.head.at("ranks"), 2);
  for (int64_t rank = 0; rank < 2; ++rank) {
    std::map<std::string, int> phases;
    for (const TraceSlice& slice : trace.of(rank, "phase")) phases[slice.name] += 1;
    const std::map<std::string, int> expected{{"step 3", 1}, {"step 4", 1},     {"step 5", 1},
                                              {"step 6", 1}, {"data", 4},       {"reduction", 4},
                                              {"update", 4}, {"checkpoint", 1}, {"validation", 1}};
    EXPECT_EQ(phases, expected) << "rank " << rank;
    EXPECT_EQ(trace.rows.at({rank, 0}), "training");
    EXPECT_FALSE(trace.of(rank, "op").empty());
    EXPECT_FALSE(trace.of(rank, "action").empty());
  }
  // Training went on as if nothing had been recorded.
  ASSERT_EQ(run_trireme_ranks(2, space.train_words("plain", {"--steps", "8", "--pipeline-parallel", "2"})).exit_code,
            0);
  EXPECT_EQ(space.log("run").back().at("loss"), space.log("plain").back().at("loss"));
}

TEST(TraceRuns, ABadFileIsOneLineBeforeAnythingIsTrained) {
  Workspace space;
  space.prepare();
  const std::string thesis = space.write("thesis.json", "{}");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "2", "--trace", thesis})), 2,
                 "--trace " + thesis + " exists and is not a trace; choose another file");
  const std::string nowhere = space.path("nowhere/trace.json");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "2", "--trace", nowhere})), 2,
                 "--trace " + nowhere + " cannot be written: " + space.path("nowhere") +
                     " is not a directory; choose another file");
  EXPECT_EQ(space.read("thesis.json"), "{}");
  EXPECT_TRUE(space.log("run").empty());
}

TEST(TraceRuns, AShortRunSaysThatNothingWasRecorded) {
  Workspace space;
  space.prepare();
  const ProgramResult result =
      run_trireme(space.train_words("run", {"--steps", "1", "--trace", space.path("trace.json")}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("nothing was recorded, since this start made no more than the 1 step that --trace-skip"),
            std::string::npos)
      << result.error;
  EXPECT_EQ(space.read("trace.json"), "");
}

TEST(TraceRuns, AStopSavesBeforeItSeesToTheTrace) {
  Workspace space;
  space.prepare();
  // With no time left a start makes one step.
  const ProgramResult result = run_trireme_ranks(
      2, space.train_words("run", {"--steps", "8", "--time-limit", "1", "--trace", space.path("trace.json")}));
  EXPECT_EQ(result.exit_code, 75) << result.error;
  const size_t saved = result.error.find("step 1 is saved");
  const size_t trace = result.error.find("nothing was recorded");
  ASSERT_NE(saved, std::string::npos) << result.error;
  ASSERT_NE(trace, std::string::npos) << result.error;
  EXPECT_LT(saved, trace);
}

}  // namespace
}  // namespace trireme::tests
