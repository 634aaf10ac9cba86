// trireme verify under mpirun: what it prints, its exit codes, and that it leaves nothing behind.
#include <gtest/gtest.h>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// In a directory of its own, which holds what `prepare` left and nothing else afterwards.
ProgramResult verify(const Workspace& space, int ranks, std::vector<std::string> words) {
  words.insert(words.begin(), "verify");
  std::filesystem::create_directory(space.path("empty"));
  const ProgramSettings settings{.directory = space.path("empty")};
  ProgramResult result = ranks == 1 ? run_trireme(words, settings) : run_trireme_ranks(ranks, words, settings);
  EXPECT_TRUE(std::filesystem::is_empty(space.path("empty")));
  return result;
}

TEST(VerifyProgram, TakesTheWordsOfATrainingAndPasses) {
  const Workspace space;
  space.prepare();
  std::vector<std::string> words = space.train_words(
      "run", {"--steps", "20", "--dropout", "0.1", "--document-mask", "--tensor-parallel", "2", "--zero-stage", "2"});
  words.erase(words.begin());
  const ProgramResult result = verify(space, 4, words);
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.output.find("4 ranks: tp 2 x dp 2 x pp 1, ZeRO 2"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("1 rank: tp 1 x dp 1 x pp 1, ZeRO 0"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("\ngradient   "), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("\npassed: "), std::string::npos) << result.output;
  EXPECT_FALSE(std::filesystem::exists(space.path("run")));
}

TEST(VerifyProgram, NeedsAModelAlone) {
  const Workspace space;
  const ProgramResult result =
      verify(space, 2, {"--model", "nano", "--sequence-length", "32", "--steps-to-verify", "1", "--layers", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.output.find("1 layer, 0.08 M parameters, fp32, 8 sequences of 32 tokens a step, random tokens"),
            std::string::npos)
      << result.output;
}

TEST(VerifyProgram, BadInputIsOneLine) {
  const Workspace space;
  expect_refused(verify(space, 1, {"--model", "nano", "--layers", "5"}), 2,
                 "--layers 5 is more than the model's 4 layers: that is the most");
  expect_refused(verify(space, 1, {"--model", "nano", "--reference-layout", "tp=2"}), 2,
                 "--reference-layout tp=2 needs 2 ranks, got 1");
  expect_refused(verify(space, 1, {"--model", "nano", "--reference-layout", "tq=2"}), 2,
                 "--reference-layout tq=2: 'tq=2' is not one of");
  expect_refused(verify(space, 1, {"--model", "nano", "--tensor-parallel", "3"}), 2,
                 "--tensor-parallel 3 does not divide");
  expect_refused(verify(space, 1, {"--model", "nano", "--document-mask"}), 2, "give --data");
  expect_refused(verify(space, 1, {"--model", "nano", "--steps-to-verify", "0"}), 2, "--steps-to-verify");
  expect_refused(verify(space, 1, {"--layers", "1"}), 2, "--model");
  expect_refused(verify(space, 1, {"--model", "llama-70b", "--vocab", "1"}), 2, "--vocab");
}

// More than any machine of ours has.
TEST(VerifyProgram, WhatDoesNotFitNamesLayers) {
  const Workspace space;
  expect_refused(verify(space, 1, {"--model", "llama-70b", "--device", "cpu"}), 2, "cut the model with --layers");
}

}  // namespace
}  // namespace trireme::tests
