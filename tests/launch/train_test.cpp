// The program as a user runs it: train, stop, resume, on one rank and on several.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <fstream>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// Runs on `ranks` ranks: 1 is the program alone, without mpirun.
ProgramResult run(int ranks, const std::vector<std::string>& words) {
  return ranks == 1 ? run_trireme(words) : run_trireme_ranks(ranks, words);
}

class TrainOnRanks : public testing::TestWithParam<int> {};

TEST_P(TrainOnRanks, StoppedAndResumedIsStraightBitForBit) {
  Workspace space;
  space.prepare();
  ProgramResult result = run(GetParam(), space.train_words("straight", {"--steps", "40", "--dropout", "0.1"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  result = run(GetParam(), space.train_words("resumed", {"--steps", "40", "--dropout", "0.1", "--stop-at-step", "20"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(space.log("resumed").size(), 20u);
  result = run(GetParam(), space.train_words("resumed", {"--steps", "40", "--dropout", "0.1"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;

  result = run_trireme({"checkpoint", "diff", space.path("straight"), space.path("resumed")});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.error;
  EXPECT_NE(result.output.find("identical"), std::string::npos) << result.output;
  const auto straight = space.log("straight");
  const auto resumed = space.log("resumed");
  ASSERT_EQ(straight.size(), 40u);
  ASSERT_EQ(resumed.size(), 40u);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(straight[i].at("step").as_int64(), static_cast<int64_t>(i + 1));
    EXPECT_EQ(straight[i].at("loss"), resumed[i].at("loss")) << "step " << i + 1;
  }
  EXPECT_LT(straight.back().at("validation_loss").to_number<double>(), straight.front().at("loss").to_number<double>());
}

INSTANTIATE_TEST_SUITE_P(OneAndTwo, TrainOnRanks, testing::Values(1, 2));

TEST(Train, RanksFollowOneRankForFiftySteps) {
  Workspace space;
  space.prepare();
  for (const int ranks : {1, 2, 4}) {
    const ProgramResult result = run(ranks, space.train_words("run" + std::to_string(ranks), {"--steps", "50"}));
    ASSERT_EQ(result.exit_code, 0) << result.error;
  }
  const auto alone = space.log("run1");
  for (const int ranks : {2, 4}) {
    const auto log = space.log("run" + std::to_string(ranks));
    ASSERT_EQ(log.size(), alone.size());
    for (size_t i = 0; i < log.size(); ++i) {
      const double expected = alone[i].at("loss").to_number<double>();
      // The same sums of fp32 numbers in another order.
      EXPECT_NEAR(log[i].at("loss").to_number<double>(), expected, 1e-5 * expected)
          << ranks << " ranks, step " << i + 1;
    }
  }
}

TEST(Train, CheckpointOfTwoRanksResumesOnOneAndOnFour) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run(2, space.train_words("run", {"--steps", "30", "--stop-at-step", "10"})).exit_code, 0);
  ProgramResult result = run(1, space.train_words("run", {"--steps", "30", "--stop-at-step", "20"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  result = run(4, space.train_words("run", {"--steps", "30"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  ASSERT_EQ(run(1, space.train_words("straight", {"--steps", "30"})).exit_code, 0);
  const double expected = space.log("straight").back().at("loss").to_number<double>();
  EXPECT_NEAR(space.log("run").back().at("loss").to_number<double>(), expected, 1e-5 * expected);
}

TEST(Train, MicrobatchesOfTheProgramFollowTheWholeBatch) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("whole", {"--steps", "20"})).exit_code, 0);
  ASSERT_EQ(run_trireme(space.train_words("parts", {"--steps", "20", "--microbatch-size", "2"})).exit_code, 0);
  const double expected = space.log("whole").back().at("loss").to_number<double>();
  EXPECT_NEAR(space.log("parts").back().at("loss").to_number<double>(), expected, 1e-5 * expected);
}

TEST_P(TrainOnRanks, TheLastStepIsValidatedByTheNextStartWhenTheOneBeforeDied) {
  Workspace space;
  space.prepare();
  const std::vector<std::string> words = space.train_words("run", {"--steps", "3"});
  ASSERT_EQ(run(GetParam(), words).exit_code, 0);
  const auto whole = space.log("run");
  std::ofstream log(space.path("run/log.jsonl"));  // as it is when the last step was saved, and not yet validated
  for (boost::json::object line : whole) {
    line.erase("validation_loss");
    log << boost::json::serialize(line) << "\n";
  }
  log.close();
  const ProgramResult result = run(GetParam(), words);
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const auto again = space.log("run");
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again.back().at("validation_loss"), whole.back().at("validation_loss"));
  EXPECT_EQ(again.back().at("loss"), whole.back().at("loss"));
}

TEST(Train, ChangedChoicesAreSaidAndRecorded) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "4"})).exit_code, 0);
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "6", "--weight-decay", "0.2"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("from step 4 on: --weight-decay 0.1 -> 0.2"), std::string::npos) << result.error;
  EXPECT_NE(space.read("run/config.json").find("--steps 4 -> 6"), std::string::npos) << space.read("run/config.json");
  EXPECT_EQ(space.log("run").size(), 6u);
}

TEST(Train, ConfigOfARunNamesItsModel) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "2"})).exit_code, 0);
  std::vector<std::string> words = space.train_words("again", {"--steps", "2"});
  words[4] = space.path("run/config.json");
  ASSERT_EQ(run_trireme(words).exit_code, 0);
  EXPECT_EQ(space.log("again").back().at("loss"), space.log("run").back().at("loss"));
}

TEST(Train, WithoutACheckpointTheRunStartsAnewAndKeepsTheOldLog) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "3"})).exit_code, 0);
  std::filesystem::remove_all(space.path("run/checkpoints/step-000000003"));
  const std::string log = space.read("run/log.jsonl");
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "3"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("starting anew"), std::string::npos) << result.error;
  EXPECT_EQ(space.read("run/log-aside-1.jsonl"), log);
  EXPECT_EQ(space.log("run").size(), 3u);
}

TEST(Train, FinishedRunHasNothingToDo) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "3"})).exit_code, 0);
  const std::string log = space.read("run/log.jsonl");
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "3"}));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.error.find("already done"), std::string::npos) << result.error;
  EXPECT_EQ(space.read("run/log.jsonl"), log);
}

TEST(Train, ACommandThatTrainsNothingLeavesTheRunAsItIs) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "6", "--checkpoint-every", "2"})).exit_code, 0);
  const std::string log = space.read("run/log.jsonl");
  const std::string config = space.read("run/config.json");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--steps", "6", "--resume", "2", "--stop-at-step", "2"},
        {"--steps", "2", "--weight-decay", "0.5"}}) {
    const ProgramResult result = run_trireme(space.train_words("run", more));
    EXPECT_EQ(result.exit_code, 0) << result.error;
    EXPECT_EQ(space.read("run/log.jsonl"), log);
    EXPECT_EQ(space.read("run/config.json"), config);
  }
}

TEST(Train, GoingBackToAnOlderStepPutsTheNewerOnesAside) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "6", "--checkpoint-every", "2"})).exit_code, 0);
  const std::string log = space.read("run/log.jsonl");
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "6", "--resume", "2"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(space.read("run/log-aside-1.jsonl"), log);
  EXPECT_EQ(space.log("run").size(), 6u);
  EXPECT_TRUE(std::filesystem::exists(space.path("run/checkpoints/aside-step-000000004"))) << result.error;
  EXPECT_TRUE(std::filesystem::exists(space.path("run/checkpoints/step-000000006"))) << result.error;
}

TEST(Train, AChosenStepThatIsDamagedIsNamedOnceAndNoOtherIsTried) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run(2, space.train_words("run", {"--steps", "4", "--checkpoint-every", "2"})).exit_code, 0);
  const std::string shard = space.path("run/checkpoints/step-000000004/shard-00001-of-00002.h5");
  std::filesystem::resize_file(shard, 1000);
  const std::string log = space.read("run/log.jsonl");
  for (const int ranks : {1, 2}) {
    const ProgramResult result = run(ranks, space.train_words("run", {"--steps", "6", "--resume", "4"}));
    EXPECT_EQ(result.exit_code, 1);
    const std::string line = "step 4 cannot be loaded: ";
    const size_t said = result.error.find(line);
    ASSERT_NE(said, std::string::npos) << result.error;
    EXPECT_NE(result.error.find(shard, said), std::string::npos) << result.error;
    EXPECT_EQ(result.error.find(line, said + 1), std::string::npos) << "one rank says it: " << result.error;
    EXPECT_EQ(space.read("run/log.jsonl"), log);
  }
  const ProgramResult result = run(2, space.train_words("run", {"--steps", "6"}));
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("falling back to step 2"), std::string::npos) << result.error;
  EXPECT_EQ(space.log("run").size(), 6u);
}

TEST(Train, KeepsTheCheckpointsThatTheRulesAndPinsSay) {
  Workspace space;
  space.prepare();
  const auto train = [&](const std::string& steps) {
    return space.train_words("run",
                             {"--steps", steps, "--checkpoint-every", "2", "--keep-last", "1", "--keep-every", "6"});
  };
  const auto left = [&] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(space.path("run/checkpoints"))) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("step-")) names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
  };
  ASSERT_EQ(run_trireme(train("8")).exit_code, 0);
  EXPECT_EQ(left(), (std::vector<std::string>{"step-000000006", "step-000000008"}));
  ASSERT_EQ(run_trireme({"checkpoint", "pin", space.path("run")}).exit_code, 0);
  ASSERT_EQ(run_trireme(train("14")).exit_code, 0);
  EXPECT_EQ(left(), (std::vector<std::string>{"step-000000006", "step-000000008", "step-000000008.pinned",
                                              "step-000000012", "step-000000014"}));
}

TEST(Train, TwoProcessesDoNotShareARun) {
  Workspace space;
  space.prepare();
  const std::string train = std::string(TRIREME_PROGRAM) + " train --data " + space.path("data") + " --model " +
                            space.path("model.json") + " --run " + space.path("run") + " --steps 100000 --log-every 1";
  // The first is killed by timeout while it trains; a lock of a dead owner then stands in nobody's way.
  const ProgramResult both = run_command(
      {"sh", "-c",
       "timeout 3 " + train + " 2>/dev/null & sleep 1.5; " + train + " --validate-every 0; code=$?; wait; exit $code"});
  expect_refused(both, 2, "is being trained by");
  EXPECT_EQ(run_trireme(space.train_words("run", {"--steps", "1", "--global-batch-size", "8"})).exit_code, 0);
}

TEST(Generate, DrawsOnlyFromTheTokenizersVocabulary) {
  Workspace space;
  space.prepare();
  space.write(
      "model.json",
      R"({"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_embd": 8, "n_positions": 32, "vocab_size": 5000})");
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "1"})).exit_code, 0);
  const ProgramResult result =
      run_trireme({"generate", "--model", space.path("run"), "--prompt", "a", "--temperature", "9"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
}

TEST(Evaluate, GivesTheValidationLossOfTraining) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "10"})).exit_code, 0);
  const double trained = space.log("run").back().at("validation_loss").to_number<double>();
  for (const int ranks : {1, 2}) {
    const ProgramResult result =
        run(ranks, {"evaluate", "--model", space.path("run"), "--data", space.path("data"), "--microbatch-size", "3"});
    ASSERT_EQ(result.exit_code, 0) << result.error;
    double loss = 0;
    ASSERT_EQ(std::sscanf(result.output.c_str(), "loss %lf", &loss), 1) << result.output;
    EXPECT_NEAR(loss, trained, 1e-5 * trained);
  }
}

TEST(Generate, PrintsPromptAndContinuationAndNothingElse) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "30"})).exit_code, 0);
  const std::vector<std::string> words = {"generate",         "--model", space.path("run"), "--prompt", "the ship",
                                          "--max-new-tokens", "80",      "--temperature",   "0"};
  const ProgramResult first = run_trireme(words);
  ASSERT_EQ(first.exit_code, 0) << first.error;
  EXPECT_EQ(first.error, "");
  EXPECT_TRUE(first.output.starts_with("the ship")) << first.output;
  EXPECT_EQ(first.output.size(),
            8 + 80u);  // bytes of prompt and continuation, beyond the 32 positions
  EXPECT_EQ(run_trireme(words).output, first.output);
}

}  // namespace
}  // namespace trireme::tests
