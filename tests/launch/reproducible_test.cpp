// train --reproducible over MPI: what differs in layout, ZeRO stage and microbatches ends with the same bits.
#include <gtest/gtest.h>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

struct RunLayout {
  int ranks = 1;
  std::vector<std::string> words;
};

void prepare(const Workspace& space) {
  space.prepare();
  space.write("model.json", R"({"model_type": "gpt2", "n_layer": 4, "n_head": 2, "n_embd": 32, "n_positions": 16,
              "vocab_size": 257})");
}

ProgramResult train(const Workspace& space, const std::string& run, const RunLayout& layout,
                    const std::vector<std::string>& more = {}) {
  // The later --global-batch-size counts.
  std::vector<std::string> words = space.train_words(run, {"--global-batch-size", "16"});
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), layout.words.begin(), layout.words.end());
  const ProgramSettings settings{.timeout_seconds = 200};  // four ranks on a core or two, step by step
  return layout.ranks == 1 ? run_trireme(words, settings) : run_trireme_ranks(layout.ranks, words, settings);
}

const std::vector<std::string> kTwenty{"--reproducible", "--steps", "20", "--dropout", "0.1"};

void expect_same_run(const Workspace& space, const std::string& run, const std::string& expected) {
  const ProgramResult diff = run_trireme({"checkpoint", "diff", space.path(run), space.path(expected)});
  EXPECT_EQ(diff.exit_code, 0) << diff.output << diff.error;
  const auto log = space.log(run);
  const auto expected_log = space.log(expected);
  ASSERT_EQ(log.size(), expected_log.size());
  for (size_t i = 0; i < log.size(); ++i) {
    for (const char* name : {"loss", "grad_norm"}) {
      EXPECT_EQ(log[i].at(name), expected_log[i].at(name)) << name << " of step " << i + 1;
    }
  }
  EXPECT_EQ(log.back().at("validation_loss"), expected_log.back().at("validation_loss"));
}

TEST(Reproducible, RunsOfAnyLayoutAreTheSame) {
  Workspace space;
  prepare(space);
  const ProgramResult alone = train(space, "alone", {}, kTwenty);
  ASSERT_EQ(alone.exit_code, 0) << alone.error;
  EXPECT_NE(alone.error.find("reproducible: 8 lanes of 2 sequences, computed one by one"), std::string::npos)
      << alone.error;
  const std::vector<RunLayout> layouts{
      {1, {"--microbatch-size", "4", "--threads", "3"}},
      {2, {"--zero-stage", "1", "--microbatch-size", "2"}},
      {2, {"--pipeline-parallel", "2", "--pipeline-schedule", "zb-h1", "--microbatch-size", "4"}},
      {4, {"--zero-stage", "3", "--microbatch-size", "1"}},
      {4, {"--pipeline-parallel", "2", "--virtual-stages", "2", "--zero-stage", "2"}}};
  int number = 0;
  for (const RunLayout& layout : layouts) {
    const std::string run = "run" + std::to_string(number++);
    const ProgramResult result = train(space, run, layout, kTwenty);
    ASSERT_EQ(result.exit_code, 0) << result.error;
    expect_same_run(space, run, "alone");
  }
}

TEST(Reproducible, AResumeInAnotherLayoutChangesNoBit) {
  Workspace space;
  prepare(space);
  ASSERT_EQ(train(space, "straight", {}, kTwenty).exit_code, 0);
  std::vector<std::string> half = kTwenty;
  half.insert(half.end(), {"--stop-at-step", "10"});
  ASSERT_EQ(train(space, "moved", {2, {"--zero-stage", "3"}}, half).exit_code, 0);
  ASSERT_EQ(train(space, "moved", {2, {"--pipeline-parallel", "2"}}, kTwenty).exit_code, 0);
  EXPECT_EQ(run_trireme({"checkpoint", "diff", space.path("moved"), space.path("straight")}).exit_code, 0);
}

// It may change; from then on the bits are others.
TEST(Reproducible, AResumeSaysWhatItChanges) {
  Workspace space;
  prepare(space);
  ASSERT_EQ(train(space, "run", {}, {"--reproducible", "--steps", "4", "--stop-at-step", "2"}).exit_code, 0);
  const ProgramResult result = train(space, "run", {}, {"--reproducible=16", "--steps", "4", "--stop-at-step", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("from step 2 on: --reproducible 8 -> 16"), std::string::npos) << result.error;
  ASSERT_EQ(train(space, "run", {}, {"--steps", "4"}).exit_code, 0);
  const std::string config = space.read("run/config.json");
  EXPECT_NE(config.find("--reproducible 16 -> 0"), std::string::npos) << config;
}

TEST(Reproducible, LanesThatDoNotFitAreRefused) {
  Workspace space;
  prepare(space);
  const auto expect = [&](const RunLayout& layout, const std::string& part) {
    const ProgramResult result = train(space, "run", layout, {"--steps", "2"});
    EXPECT_EQ(result.exit_code, 2) << result.error;
    EXPECT_NE(result.error.find(part), std::string::npos) << result.error;
    EXPECT_FALSE(std::filesystem::exists(space.path("run/config.json")));
  };
  expect({1, {"--reproducible=12"}}, "--reproducible=12 is no power of two; the nearest that fits is --reproducible=8");
  expect({1, {"--reproducible=0"}}, "--reproducible: '0' is out of range");
  expect({1, {"--reproducible=8", "--global-batch-size", "12"}},
         "--reproducible=8 does not divide --global-batch-size 12; the nearest choices are --reproducible=4 and "
         "--global-batch-size 16");
  expect({4, {"--reproducible=2"}},
         "--reproducible=2 does not divide by 4 ranks; the nearest that fits is --reproducible=4");
  expect({3, {"--reproducible", "--global-batch-size", "24"}},
         "--reproducible=8 adds 8 lanes up as a tree, of which each of 3 ranks has a branch: the nearest number of "
         "ranks that does is 2");
  expect({1, {"--reproducible", "--device", "cuda"}}, "--reproducible computes on CPUs so far");
}

}  // namespace
}  // namespace trireme::tests
