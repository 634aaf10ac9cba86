// The program from text to generated text with a tokenizer that it learned itself.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

ProgramResult prepare_learned(const Workspace& space, const std::string& output, const std::string& threads) {
  return run_trireme({"prepare", "--input", space.path("learn.txt"), "--output", space.path(output),
                      "--train-tokenizer", "bpe", "--vocab-size", "400", "--split-pattern", "o200k", "--threads",
                      threads, "--document-separator", "\\n"});
}

TEST(LearnedTokenizer, IsLearnedKeptAndSpoken) {
  Workspace space;
  space.prepare();
  space.write("learn.txt", Workspace::corpus(12000));
  const ProgramResult prepared = prepare_learned(space, "learned", "1");
  ASSERT_EQ(prepared.exit_code, 0) << prepared.error;
  EXPECT_NE(prepared.output.find("bpe, learned"), std::string::npos) << prepared.output;

  ASSERT_EQ(prepare_learned(space, "again", "2").exit_code, 0);
  for (const char* file : {"/tokenizer.json", "/train-00000.h5", "/validation-00000.h5", "/dataset.json"}) {
    EXPECT_EQ(space.read("learned" + std::string(file)), space.read("again" + std::string(file))) << file;
  }

  const ProgramResult trained = run_trireme(space.train_words(
      "run", {"--data", space.path("learned"), "--model", "nano", "--sequence-length", "32", "--steps", "3"}));
  ASSERT_EQ(trained.exit_code, 0) << trained.error;
  EXPECT_EQ(space.read("run/tokenizer.json"), space.read("learned/tokenizer.json"));

  std::filesystem::remove_all(space.path("learned"));
  const std::vector<std::string> generate = {"generate",         "--model", space.path("run"), "--prompt", "the line",
                                             "--max-new-tokens", "5"};
  const ProgramResult generated = run_trireme(generate);
  EXPECT_EQ(generated.exit_code, 0) << generated.error;
  EXPECT_TRUE(generated.output.starts_with("the line")) << generated.output;

  std::filesystem::remove(space.path("run/tokenizer.json"));
  const ProgramResult lost = run_trireme(generate);
  EXPECT_EQ(lost.exit_code, 1);
  EXPECT_NE(lost.error.find("tokenizer.json is missing"), std::string::npos) << lost.error;
}

}  // namespace
}  // namespace trireme::tests
