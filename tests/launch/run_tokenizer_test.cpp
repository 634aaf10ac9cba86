#include "launch/run_tokenizer.h"

#include <gtest/gtest.h>

#include "data/bpe_tokenizer.h"
#include "data/splitter.h"
#include "data/tokenizer_files.h"
#include "runtime/error.h"
#include "tests/memory_files.h"

namespace trireme::launch {
namespace {

data::BpeTokenizer small_tokenizer() {
  data::TokenizerParts parts;
  for (int byte = 0; byte < 256; ++byte) parts.vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  parts.vocabulary.tokens.emplace_back("th");
  parts.vocabulary.merges = {{'t', 'h'}};
  parts.pattern = data::kGpt2Pattern;
  parts.added_tokens = {{.id = 257, .content = "<|endoftext|>"}};
  parts.end_of_text = "<|endoftext|>";
  return data::BpeTokenizer(parts);
}

/// A data set's directory with nothing but its tokenizer, and a run with a step.
struct Disk {
  Disk() {
    for (const char* directory : {"data", "run/checkpoints/step-000000001", "copied"}) files.make_directory(directory);
    runtime::write_text_atomically(files, "data/tokenizer.json", tokenizer.file_text());
  }
  std::string error(const std::string& step) {
    try {
      trained_tokenizer(files, tokenizer.description(), step);
    } catch (const runtime::Error& error) {
      EXPECT_EQ(error.kind(), runtime::ErrorKind::data);
      return error.what();
    }
    return "";
  }

  data::BpeTokenizer tokenizer = small_tokenizer();
  tests::MemoryFiles files;
};

TEST(RunTokenizer, IsKeptInTheRunAndFoundFromAStep) {
  Disk disk;
  keep_tokenizer(disk.files, disk.tokenizer.description(), "data", "run");
  EXPECT_EQ(runtime::read_text(disk.files, "run/tokenizer.json"), disk.tokenizer.file_text());
  const auto found = trained_tokenizer(disk.files, disk.tokenizer.description(), "run/checkpoints/step-000000001");
  EXPECT_EQ(found->digest(), disk.tokenizer.digest());
}

TEST(RunTokenizer, OfACopiedStepIsWantedBesideIt) {
  Disk disk;
  EXPECT_TRUE(disk.error("copied").starts_with("copied/tokenizer.json is missing")) << disk.error("copied");
  runtime::write_text_atomically(disk.files, "copied/tokenizer.json", disk.tokenizer.file_text());
  EXPECT_EQ(disk.error("copied"), "");
}

TEST(RunTokenizer, ThatOfOtherDataIsRefused) {
  Disk disk;
  runtime::write_text_atomically(disk.files, "data/tokenizer.json", disk.tokenizer.file_text() + " ");
  EXPECT_THROW(check_tokenizer(disk.files, disk.tokenizer.description(), "data"), runtime::Error);
  EXPECT_NO_THROW(check_tokenizer(disk.files, {{"kind", "byte"}}, "data"));
}

}  // namespace
}  // namespace trireme::launch
