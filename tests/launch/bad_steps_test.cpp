// Steps without an update, as a user meets them: outliers in the data, a diverging learning rate, rollbacks.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "launch/training_settings.h"
#include "runtime/error.h"
#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

namespace json = boost::json;

constexpr int64_t kBatch = 8;
constexpr int64_t kFirstBad = 63;
constexpr int64_t kLastBad = 65;

ProgramResult run(int ranks, const std::vector<std::string>& words) {
  return ranks == 1 ? run_trireme(words) : run_trireme_ranks(ranks, words);
}

/// The samples of a step, as `data show` tells them of a run or (with more words) of data sets.
std::vector<json::object> samples_of(const std::string& path, int64_t step, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"data", "show", path, "--step", std::to_string(step), "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const ProgramResult result = run_trireme(words);
  EXPECT_EQ(result.exit_code, 0) << result.error;
  std::vector<json::object> samples;
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) samples.push_back(json::parse(line).as_object());
  return samples;
}

/// Data in which steps kFirstBad to kLastBad of a run are given nothing but characters that occur nowhere else.
void prepare_poisoned(const Workspace& space) {
  space.prepare(40000);
  std::string text = space.read("corpus.txt");
  std::mt19937 random(7);
  for (int64_t step = kFirstBad; step <= kLastBad; ++step) {
    const auto samples = samples_of(space.path("data"), step, {"--global-batch-size", "8", "--sequence-length", "32"});
    ASSERT_EQ(samples.size(), static_cast<size_t>(kBatch));
    for (const json::object& sample : samples) {
      for (int64_t i = sample.at("begin").as_int64(); i < sample.at("end").as_int64(); ++i) {
        text[static_cast<size_t>(i)] = static_cast<char>('0' + random() % 10);
      }
    }
  }
  space.write("corpus.txt", text);
  std::filesystem::remove_all(space.path("data"));
  const ProgramResult result = run_trireme(
      {"prepare", "--input", space.path("corpus.txt"), "--output", space.path("data"), "--tokenizer", "byte"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
}

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Steps of a log that made no update, with the reason: "63 outlier_loss".
std::vector<std::string> skipped_steps(const Workspace& space, const std::string& name) {
  std::vector<std::string> skipped;
  for (const json::object& line : space.log(name)) {
    if (!line.contains("skipped")) continue;
    skipped.push_back(std::to_string(line.at("step").as_int64()) + " " + std::string(line.at("skipped").as_string()));
  }
  return skipped;
}

void expect_identical(const Workspace& space, const std::string& a, const std::string& b) {
  const ProgramResult result = run_trireme({"checkpoint", "diff", space.path(a), space.path(b)});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.error;
}

double last_loss(const Workspace& space, const std::string& name) {
  return space.log(name).back().at("loss").to_number<double>();
}

const std::vector<std::string> kOutliers{"--steps", "90", "--skip-outliers", "3"};
const std::vector<std::string> kRollback =
    with(kOutliers, {"--rollback-after", "3", "--checkpoint-every", "10", "--keep-last", "0"});

TEST(SkipOutliers, SameStepsOnOneAndTwoRanksAndAfterAResume) {
  Workspace space;
  prepare_poisoned(space);
  const std::vector<std::string> expected{"63 outlier_loss", "64 outlier_loss", "65 outlier_loss"};
  for (const int ranks : {1, 2}) {
    const std::string straight = "straight" + std::to_string(ranks);
    const std::string resumed = "resumed" + std::to_string(ranks);
    ProgramResult result = run(ranks, space.train_words(straight, kOutliers));
    ASSERT_EQ(result.exit_code, 0) << result.error;
    EXPECT_EQ(skipped_steps(space, straight), expected) << ranks;
    EXPECT_NE(result.error.find("step 63: loss "), std::string::npos) << result.error;
    EXPECT_NE(result.error.find(" is an outlier, above "), std::string::npos) << result.error;
    // Stopped among the outliers: the resumed run knows what is usual, and decides alike.
    ASSERT_EQ(run(ranks, space.train_words(resumed, with(kOutliers, {"--stop-at-step", "64"}))).exit_code, 0);
    result = run(ranks, space.train_words(resumed, kOutliers));
    ASSERT_EQ(result.exit_code, 0) << result.error;
    expect_identical(space, straight, resumed);
    EXPECT_EQ(skipped_steps(space, resumed), expected) << ranks;
  }
  const auto log = space.log("straight1");
  EXPECT_GT(log[kFirstBad - 1].at("loss").to_number<double>(), 2 * log[kFirstBad - 2].at("loss").to_number<double>());
  EXPECT_LT(last_loss(space, "straight1"), log[kFirstBad - 2].at("loss").to_number<double>());
}

TEST(SkipOutliers, ALimitThatNothingReachesChangesNoBit) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("off", {"--steps", "40"})).exit_code, 0);
  ASSERT_EQ(run_trireme(space.train_words("wide", {"--steps", "40", "--skip-outliers", "1000"})).exit_code, 0);
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(space.log("off")[i].at("loss"), space.log("wide")[i].at("loss")) << i;
  EXPECT_EQ(space.log("off").back().at("validation_loss"), space.log("wide").back().at("validation_loss"));
}

class RollbackOnRanks : public testing::TestWithParam<int> {};

TEST_P(RollbackOnRanks, GoesBackPastTheBadWindow) {
  Workspace space;
  prepare_poisoned(space);
  const ProgramResult result = run(GetParam(), space.train_words("run", kRollback));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const std::string line =
      "from step 60 on: rolled back from step 65, as the last 3 steps made no update; samples 480 to 519 are left out";
  const size_t said = result.error.find(line);
  ASSERT_NE(said, std::string::npos) << result.error;
  EXPECT_EQ(result.error.find(line, said + 1), std::string::npos) << "one rank says it: " << result.error;
  EXPECT_EQ(result.error.find("checkpoints beyond"), std::string::npos) << "there were none: " << result.error;

  const auto log = space.log("run");
  ASSERT_EQ(log.size(), 90u);
  for (size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].at("step").as_int64(), static_cast<int64_t>(i + 1));
    EXPECT_EQ(log[i].at("tokens").as_int64(), static_cast<int64_t>(i + 1) * kBatch * 32) << "what was trained on";
  }
  EXPECT_TRUE(skipped_steps(space, "run").empty());
  EXPECT_LT(last_loss(space, "run"), log[kFirstBad - 2].at("loss").to_number<double>());
  // The branch that was given up is kept: its last step too.
  EXPECT_NE(space.read("run/log-aside-1.jsonl").find("\"step\": 65"), std::string::npos);

  const json::array changes = json::parse(space.read("run/config.json")).at("changes").as_array();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].at("step").as_int64(), 60);
  EXPECT_EQ(changes[0].at("samples_left_out").as_int64(), 40);
  EXPECT_EQ(samples_of(space.path("run"), 60).front().at("sample").as_int64(), 59 * kBatch);
  EXPECT_EQ(samples_of(space.path("run"), 61).front().at("sample").as_int64(), 65 * kBatch);
  EXPECT_EQ(samples_of(space.path("run"), 90).back().at("sample").as_int64(), 95 * kBatch - 1);
}

INSTANTIATE_TEST_SUITE_P(OneAndTwo, RollbackOnRanks, testing::Values(1, 2));

TEST(Rollback, AnInterruptedRunEndsWithTheSameBits) {
  Workspace space;
  prepare_poisoned(space);
  ASSERT_EQ(run_trireme(space.train_words("straight", kRollback)).exit_code, 0);
  // At the first step of the bad row, which then is a checkpoint, but none to go back to; and after the rollback.
  for (const std::string stop : {"63", "75"}) {
    const std::string name = "stopped" + stop;
    ASSERT_EQ(run_trireme(space.train_words(name, with(kRollback, {"--stop-at-step", stop}))).exit_code, 0);
    ASSERT_EQ(run_trireme(space.train_words(name, kRollback)).exit_code, 0);
    expect_identical(space, "straight", name);
    EXPECT_EQ(json::parse(space.read(name + "/config.json")).at("changes").as_array().size(), 1u);
  }
  EXPECT_TRUE(std::filesystem::exists(space.path("stopped63/checkpoints/aside-step-000000063")));
  // As a start leaves it that dies behind the rollback, before it has saved anything.
  ASSERT_EQ(run_trireme(space.train_words("killed", with(kRollback, {"--stop-at-step", "66"}))).exit_code, 0);
  std::filesystem::remove_all(space.path("killed/checkpoints/step-000000066"));
  ASSERT_EQ(run_trireme(space.train_words("killed", kRollback)).exit_code, 0);
  expect_identical(space, "straight", "killed");
  EXPECT_EQ(json::parse(space.read("killed/config.json")).at("changes").as_array().size(), 1u);
  EXPECT_EQ(samples_of(space.path("killed"), 61).front().at("sample").as_int64(), 65 * kBatch);
}

/// With no time left every start makes one step, saves it and asks to be started again.
const std::vector<std::string> kNoTime{"--time-limit", "1"};

TEST(Rollback, AStopWhereItIsDueLeavesItToTheNextStart) {
  for (const int ranks : {1, 2}) {
    Workspace space;
    prepare_poisoned(space);
    ASSERT_EQ(run(ranks, space.train_words("straight", kRollback)).exit_code, 0);
    ASSERT_EQ(run(ranks, space.train_words("run", with(kRollback, {"--stop-at-step", "64"}))).exit_code, 0);
    const ProgramResult stopped = run(ranks, space.train_words("run", with(kRollback, kNoTime)));
    EXPECT_EQ(stopped.exit_code, 75) << stopped.error;
    EXPECT_NE(stopped.error.find("saving step 65 and ending, to be started again (exit 75) and rolled back then"),
              std::string::npos)
        << stopped.error;
    EXPECT_EQ(stopped.error.find("rolled back from"), std::string::npos) << stopped.error;
    EXPECT_TRUE(std::filesystem::exists(space.path("run/checkpoints/step-000000065")));
    EXPECT_EQ(space.log("run").back().at("step").as_int64(), 65);

    const ProgramResult again = run(ranks, space.train_words("run", kRollback));
    ASSERT_EQ(again.exit_code, 0) << again.error;
    EXPECT_NE(again.error.find("from step 60 on: rolled back from step 65"), std::string::npos) << again.error;
    EXPECT_TRUE(std::filesystem::exists(space.path("run/checkpoints/aside-step-000000065")));
    expect_identical(space, "straight", "run");
    EXPECT_EQ(json::parse(space.read("run/config.json")).at("changes"),
              json::parse(space.read("straight/config.json")).at("changes"));
  }
}

TEST(Rollback, TheLastStepIsNoneToStayAt) {
  Workspace space;
  prepare_poisoned(space);
  const std::vector<std::string> to_65 = with(kRollback, {"--stop-at-step", "65"});
  ASSERT_EQ(run_trireme(space.train_words("straight", to_65)).exit_code, 0);
  ASSERT_EQ(run_trireme(space.train_words("run", with(kRollback, {"--stop-at-step", "64"}))).exit_code, 0);
  const ProgramResult stopped = run_trireme(space.train_words("run", with(to_65, kNoTime)));
  EXPECT_EQ(stopped.exit_code, 75) << stopped.error;
  const ProgramResult again = run_trireme(space.train_words("run", to_65));
  ASSERT_EQ(again.exit_code, 0) << again.error;
  EXPECT_NE(again.error.find("rolled back from step 65"), std::string::npos) << again.error;
  expect_identical(space, "straight", "run");
  EXPECT_TRUE(space.log("run").back().contains("validation_loss"));
}

TEST(Rollback, SaysThatOlderCheckpointsAreDamaged) {
  Workspace space;
  prepare_poisoned(space);
  ASSERT_EQ(run_trireme(space.train_words("run", with(kRollback, {"--stop-at-step", "64"}))).exit_code, 0);
  for (int step = 10; step <= 60; step += 10) {
    std::filesystem::remove(space.path("run/checkpoints/step-0000000" + std::to_string(step) + "/manifest.json"));
  }
  const ProgramResult result = run_trireme(space.train_words("run", kRollback));
  EXPECT_EQ(result.exit_code, 1) << result.error;
  EXPECT_NE(
      result.error.find("has no good checkpoint from before step 63 to go back to (no checkpoint up to step 62 in "),
      std::string::npos)
      << result.error;
  EXPECT_EQ(result.error.find("move it away"), std::string::npos)
      << "there is a good one, of step 64: " << result.error;
}

TEST(Rollback, AChangedBatchSizeStaysKnown) {
  Workspace space;
  prepare_poisoned(space);
  // The first 120 samples in steps of 4, so that step 78 to 80 are the bad ones; the change is made at step 30, and the
  // checkpoint to go back to is the one of that step.
  const std::vector<std::string> words = with(kRollback, {"--checkpoint-every", "1000"});
  ASSERT_EQ(run_trireme(space.train_words("run", with(words, {"--stop-at-step", "30", "--global-batch-size", "4"})))
                .exit_code,
            0);
  const ProgramResult result = run_trireme(space.train_words("run", words));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("from step 30 on: rolled back from step 80"), std::string::npos) << result.error;
  EXPECT_EQ(json::parse(space.read("run/config.json")).at("changes").as_array().size(), 2u);
  EXPECT_EQ(samples_of(space.path("run"), 30).front().at("sample").as_int64(), 29 * 4);
  EXPECT_EQ(samples_of(space.path("run"), 31).front().at("sample").as_int64(), 65 * kBatch);
}

TEST(Rollback, GivesUpAfterThreeThatGetNoFurther) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "5"})).exit_code, 0);
  const std::vector<std::string> wild{"--steps",          "40", "--learning-rate",    "1e30", "--clip-grad-norm", "0",
                                      "--rollback-after", "2",  "--checkpoint-every", "100"};
  const ProgramResult result = run_trireme(space.train_words("run", wild));
  EXPECT_EQ(result.exit_code, 1) << result.error;
  EXPECT_NE(result.error.find("3 rollbacks did not get beyond step 7, from which on no update was made: the training "
                              "has diverged"),
            std::string::npos)
      << result.error;
  size_t rollbacks = 0;
  for (size_t at = 0; (at = result.error.find("rolled back from step 8", at)) != std::string::npos; ++at) ++rollbacks;
  EXPECT_EQ(rollbacks, 3u) << result.error;
  EXPECT_TRUE(std::filesystem::exists(space.path("run/checkpoints/step-000000005")));
}

TEST(Rollback, WithoutAnEarlierCheckpointIsOneLineThatSaysWhatToDo) {
  Workspace space;
  space.prepare();
  const std::vector<std::string> wild{"--steps",          "40", "--learning-rate",  "1e30",
                                      "--clip-grad-norm", "0",  "--rollback-after", "2"};
  for (const int ranks : {1, 2}) {
    const std::string name = "run" + std::to_string(ranks);
    const ProgramResult result = run(ranks, space.train_words(name, wild));
    EXPECT_EQ(result.exit_code, 1) << result.error;
    const std::string line = "has no checkpoint from before step 2 to go back to: begin anew with a lower";
    const size_t said = result.error.find(line);
    ASSERT_NE(said, std::string::npos) << result.error;
    EXPECT_EQ(space.log(name).size(), 3u);
  }
}

TEST(Rollback, ACheckpointOfAnOlderProgramHasNoTroubleBehindIt) {
  const launch::Progress progress = launch::progress_from(
      {{"progress", {{"step", 7}, {"samples", 56}, {"updates", 6}, {"skipped_steps", 1}}}}, "an old run");
  EXPECT_EQ(progress.samples_trained_on(), 56);
  EXPECT_EQ(progress.skipped_in_a_row + progress.trouble_step + progress.rollbacks, 0);
  EXPECT_TRUE(progress.history.steps().empty());
}

TEST(SkipOutliers, AHistoryThatIsCutIsDamage) {
  const json::object state{{"progress", {{"step", 7}, {"samples", 56}, {"updates", 7}, {"skipped_steps", 0}}},
                           {"history", {{"losses", {1.5, 2.5}}, {"grad_norms", {1.0}}}}};
  try {
    launch::progress_from(state, "run/checkpoints/step-000000007");
    FAIL() << "it was taken";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::data);
    EXPECT_EQ(std::string(error.what()),
              "run/checkpoints/step-000000007: the checkpoint's history has 2 losses, but 1 gradient norms; go on from "
              "another one with --resume STEP");
  }
}

TEST(Rollback, NeedsCheckpointsOnTheWay) {
  Workspace space;
  space.prepare();
  expect_refused(
      run_trireme(space.train_words("run", {"--steps", "9", "--rollback-after", "2", "--checkpoint-every", "0"})), 2,
      "--rollback-after 2 needs checkpoints to go back to");
}

}  // namespace
}  // namespace trireme::tests
