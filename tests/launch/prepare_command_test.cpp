#include "launch/prepare_command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::launch {
namespace {

TEST(PrepareCommand, ReportsWhatItWroteAndWhatWasThere) {
  const tests::TemporaryDirectory directory;
  std::ofstream(directory / "text.txt") << "one\ntwo\nthree\n";
  const PrepareOptions options{
      .input = {directory / "text.txt"}, .output = directory / "dataset", .document_separator = {}};
  std::ostringstream first;
  EXPECT_EQ(prepare(options, first), 0);
  EXPECT_EQ(first.str(), "prepared " + options.output +
                             " (tokenizer byte, vocabulary 257)\n"
                             "  train: 1 document, 13 bytes, 14 tokens, 1 shard\n"
                             "  validation: 1 document, 1 byte, 2 tokens, 1 shard\n");
  std::ostringstream second;
  EXPECT_EQ(prepare(options, second), 0);
  EXPECT_TRUE(second.str().starts_with("already prepared: " + options.output)) << second.str();
}

TEST(PrepareCommand, ALearnedTokenizerIsRecognised) {
  const tests::TemporaryDirectory directory;
  std::ofstream(directory / "text.txt") << "one two one two\nthree\n";
  PrepareOptions options{.input = {directory / "text.txt"}, .output = directory / "dataset"};
  options.train_tokenizer = "bpe";
  options.vocabulary_size = 258;
  std::ostringstream first;
  prepare(options, first);
  EXPECT_TRUE(first.str().starts_with("prepared " + options.output + " (tokenizer bpe, learned, vocabulary 258)"))
      << first.str();
  std::ostringstream second;
  prepare(options, second);
  EXPECT_TRUE(second.str().starts_with("already prepared: " + options.output)) << second.str();
  options.split_pattern = "o200k";
  EXPECT_THROW(prepare(options, second), runtime::Error);
}

TEST(PrepareCommand, AnUnknownTokenizerIsAUsageError) {
  const tests::TemporaryDirectory directory;
  std::ostringstream out;
  try {
    prepare(
        {.input = {directory.path()}, .output = directory / "dataset", .tokenizer = "bpe", .document_separator = {}},
        out);
    FAIL() << "an unknown tokenizer must be refused";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
  }
  EXPECT_FALSE(std::filesystem::exists(directory / "dataset"));
}

}  // namespace
}  // namespace trireme::launch
