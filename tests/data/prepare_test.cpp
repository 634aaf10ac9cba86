#include "data/prepare.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "data/bpe_tokenizer.h"
#include "data/token_dataset.h"
#include "data/tokenizer_files.h"
#include "runtime/file_lock.h"
#include "tests/data/prepared_text.h"
#include "tests/data/small_tokenizer.h"
#include "tests/failing_files.h"
#include "tests/file_size_limit.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using tests::FailingFiles;

PrepareReport prepare_with(const PrepareOptions& options) {
  return prepare(runtime::real_files(), ByteTokenizer(), options);
}

/// The documents of a split, as text, cut at end of text.
std::vector<std::string> documents_in(const std::string& directory, const std::string& split) {
  const TokenDataset dataset(runtime::real_files(), directory, split);
  std::vector<int32_t> ids(static_cast<size_t>(dataset.tokens()));
  dataset.read(0, ids);
  std::vector<std::string> documents(1);
  for (const int32_t id : ids) {
    if (id == ByteTokenizer::kEndOfText) {
      documents.emplace_back();
    } else {
      documents.back().push_back(static_cast<char>(id));
    }
  }
  EXPECT_TRUE(documents.back().empty()) << "the stream ends with end of text";
  documents.pop_back();
  return documents;
}

std::string many_rows(int count) {
  std::string rows;
  for (int i = 0; i < count; ++i) rows += "{\"text\": \"document " + std::to_string(i) + "\"}\n";
  return rows;
}

TEST(Prepare, OneDocumentGivesItsEndToValidation) {
  const tests::TemporaryDirectory directory;
  const std::string text = numbered_text(10000);
  const std::string dataset = prepare_text(directory, text, int64_t{1} << 30, 0.1);
  const std::vector<std::string> train = documents_in(dataset, "train");
  const std::vector<std::string> validation = documents_in(dataset, "validation");
  ASSERT_EQ(train.size(), 1u);
  ASSERT_EQ(validation.size(), 1u);
  EXPECT_EQ(train[0] + validation[0], text);
  EXPECT_EQ(train[0].back(), '\n');
  EXPECT_LE(validation[0].size(), 1000u);
  EXPECT_GT(validation[0].size(), 900u);  // a line has less than 100 bytes
}

TEST(Prepare, ReportCountsWhatIsThere) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "rows.jsonl", many_rows(200));
  const PrepareReport report = prepare_with({.inputs = {directory / "rows.jsonl"}, .output = directory / "dataset"});
  EXPECT_FALSE(report.already_prepared);
  int64_t documents = 0;
  for (const auto& [split, manifest] : report.dataset.splits) {
    const std::vector<std::string> found = documents_in(directory / "dataset", split);
    int64_t bytes = 0;
    for (const std::string& document : found) bytes += static_cast<int64_t>(document.size());
    EXPECT_EQ(manifest.documents, static_cast<int64_t>(found.size()));
    EXPECT_EQ(manifest.bytes, bytes);
    EXPECT_EQ(manifest.tokens, bytes + manifest.documents);
    documents += manifest.documents;
  }
  EXPECT_EQ(documents, 200);
  // Binomial(200, 0.1): mean 20, standard deviation 4.2; the hash makes it a fixed number inside five of them.
  EXPECT_NEAR(static_cast<double>(report.dataset.splits.at("validation").documents), 20, 21);
}

TEST(Prepare, ADocumentGoesTheSameWayInAnyOrder) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.jsonl", many_rows(50));
  write_file(directory / "b.jsonl", "{\"text\": \"another\"}\n");
  prepare_with({.inputs = {directory / "a.jsonl", directory / "b.jsonl"}, .output = directory / "ab"});
  prepare_with({.inputs = {directory / "b.jsonl", directory / "a.jsonl"}, .output = directory / "ba"});
  for (const std::string split : {"train", "validation"}) {
    std::vector<std::string> ab = documents_in(directory / "ab", split);
    std::vector<std::string> ba = documents_in(directory / "ba", split);
    std::ranges::sort(ab);
    std::ranges::sort(ba);
    EXPECT_EQ(ab, ba);
  }
}

TEST(Prepare, NoValidationWhenTheFractionIsZero) {
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, "some text");
  EXPECT_EQ(documents_in(dataset, "train"), std::vector<std::string>{"some text"});
  EXPECT_FALSE(has_split(runtime::real_files(), dataset, "validation"));
  expect_contains(error_of(ErrorKind::data, [&] { TokenDataset(runtime::real_files(), dataset, "validation"); }),
                  {dataset, "validation", "--validation-fraction"});
}

TEST(Prepare, TwoEqualDocumentsStillGiveBothSplits) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", "same|same");
  prepare_with({.inputs = {directory / "a.txt"}, .output = directory / "dataset", .text = {.separator = "|"}});
  EXPECT_EQ(documents_in(directory / "dataset", "train"), std::vector<std::string>{"same"});
  EXPECT_EQ(documents_in(directory / "dataset", "validation"), std::vector<std::string>{"same"});
}

TEST(Prepare, ShardsOfAnySizeHoldTheSameStream) {
  const std::string text = numbered_text(1000);
  for (const int64_t shard_tokens : {1, 7, 500, 1001, 1002}) {
    const tests::TemporaryDirectory directory;
    if (shard_tokens == 1) {
      EXPECT_EQ(documents_in(prepare_text(directory, "tiny", 1), "train"), std::vector<std::string>{"tiny"});
    } else {
      EXPECT_EQ(documents_in(prepare_text(directory, text, shard_tokens), "train"), std::vector<std::string>{text});
    }
  }
}

TEST(Prepare, TheSameAgainIsRecognisedAndAnythingElseRefused) {
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, "a line\nanother\n", 100, 0.1);
  const std::string manifest = read_file(dataset + "/dataset.json");
  PrepareOptions options{.inputs = {directory / "text.txt"}, .output = dataset, .shard_tokens = 100};
  const PrepareReport again = prepare_with(options);
  EXPECT_TRUE(again.already_prepared);
  EXPECT_EQ(again.dataset.splits.at("train").documents, 1);

  options.validation_fraction = 0.2;
  expect_contains(error_of(ErrorKind::usage, [&] { prepare_with(options); }), {"--output", dataset, "remove"});
  options.validation_fraction = 0.1;
  write_file(directory / "text.txt", "a line\nanothes\n");
  expect_contains(error_of(ErrorKind::usage, [&] { prepare_with(options); }), {"--output", dataset, "remove"});
  EXPECT_EQ(read_file(dataset + "/dataset.json"), manifest) << "nothing was touched";
}

TEST(Prepare, WhatTheManifestTellsIsComparedBeforeTheTextIsRead) {
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, "a line\nanother\n");
  bool was_read = false;
  PrepareOptions options{.inputs = {directory / "text.txt"},
                         .output = dataset,
                         .validation_fraction = 0,
                         .progress = [&](const PrepareProgress&) { was_read = true; }};
  options.drop_duplicates = true;
  expect_contains(error_of(ErrorKind::usage, [&] { prepare_with(options); }), {"--output", dataset, "options"});
  options.drop_duplicates = false;
  expect_contains(
      error_of(ErrorKind::usage, [&] { prepare(runtime::real_files(), BpeTokenizer(small_parts()), options); }),
      {"--output", dataset, "tokenizer"});

  std::string manifest = read_file(dataset + "/dataset.json");
  const std::string version = "\"version\":[2";
  write_file(dataset + "/dataset.json", manifest.replace(manifest.find(version), version.size(), "\"version\":[1"));
  expect_contains(error_of(ErrorKind::data, [&] { prepare_with(options); }),
                  {dataset + "/dataset.json", "version 1", "another directory", "removing " + dataset});
  EXPECT_FALSE(was_read);
}

TEST(Prepare, ADamagedTokenizerFileIsNotCalledPrepared) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "text.txt", "hello world\n");
  const BpeTokenizer tokenizer(small_parts());
  const PrepareOptions options{
      .inputs = {directory / "text.txt"}, .output = directory / "dataset", .validation_fraction = 0};
  const std::string path = options.output + "/" + kTokenizerFile;
  prepare(runtime::real_files(), tokenizer, options);
  write_file(path, tokenizer.file_text().substr(1));
  expect_contains(error_of(ErrorKind::data, [&] { prepare(runtime::real_files(), tokenizer, options); }),
                  {path, "damaged", "remove"});
  std::filesystem::remove(path);
  EXPECT_TRUE(prepare(runtime::real_files(), tokenizer, options).already_prepared);
  EXPECT_EQ(read_file(path), tokenizer.file_text());
}

TEST(Prepare, AnInterruptedOutputIsReplacedAndForeignFilesAreNot) {
  const tests::TemporaryDirectory directory;
  for (const char* name :
       {"train-00000.h5", "train-00007.h5", "validation-00000.h5.tmp", "train-00001.h5.spool", "dataset.json.tmp"}) {
    write_file(directory / "dataset/" + name, "debris");
  }
  const std::string dataset = prepare_text(directory, "text");
  EXPECT_EQ(documents_in(dataset, "train"), std::vector<std::string>{"text"});
  EXPECT_EQ(runtime::real_files().list(dataset), (std::vector<std::string>{"dataset.json", "train-00000.h5"}));

  write_file(directory / "home/thesis.tex", "mine");
  const PrepareOptions options{.inputs = {directory / "text.txt"}, .output = directory / "home"};
  expect_contains(error_of(ErrorKind::usage, [&] { prepare_with(options); }), {"--output", "thesis.tex"});
  EXPECT_EQ(read_file(directory / "home/thesis.tex"), "mine");
}

/// Calls back in the middle of the work, when shards are written.
class InterruptedTokenizer : public ByteTokenizer {
 public:
  explicit InterruptedTokenizer(std::function<void()> call) : call_(std::move(call)) {}
  void encode(std::string_view text, std::vector<int32_t>& ids, SpecialTokens special) const override {
    call_();
    ByteTokenizer::encode(text, ids, special);
  }

 private:
  std::function<void()> call_;
};

TEST(Prepare, TheSecondOfTwoAtOnceIsRefusedAndTheFirstUnharmed) {
  const tests::TemporaryDirectory directory;
  const std::string output = directory / "dataset";
  write_file(directory / "text.txt", "a|b|c|d");
  write_file(directory / "other.txt", "e|f");
  const auto options_of = [&](const std::string& input) {
    return PrepareOptions{.inputs = {directory / input}, .output = output, .text = {.separator = "|"}};
  };
  int refusals = 0;
  const InterruptedTokenizer tokenizer([&] {
    for (const char* input : {"text.txt", "other.txt"}) {
      expect_contains(error_of(ErrorKind::usage, [&] { prepare_with(options_of(input)); }),
                      {"--output " + output, "is being prepared by " + runtime::FileLock::this_process(), "another"});
      ++refusals;
    }
  });
  prepare(runtime::real_files(), tokenizer, options_of("text.txt"));
  EXPECT_EQ(refusals, 8);  // at each of four documents
  EXPECT_EQ(documents_in(output, "train").size() + documents_in(output, "validation").size(), 4u);
  EXPECT_EQ(runtime::real_files().list(output),
            (std::vector<std::string>{"dataset.json", "train-00000.h5", "validation-00000.h5"}));
}

TEST(Prepare, ALockWithoutAnOwnerIsNoObstacle) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "dataset/prepare.lock", "process 1 on a machine that crashed\n");
  const std::string dataset = prepare_text(directory, "text");
  EXPECT_EQ(runtime::real_files().list(dataset), (std::vector<std::string>{"dataset.json", "train-00000.h5"}));
}

TEST(Prepare, AFinishedDatasetIsRecognisedWithoutALock) {
  // It may lie where nobody may write: the lock file must not even be made.
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, "text");
  const std::optional<runtime::FileLock> lock = runtime::FileLock::try_lock(dataset + "/prepare.lock");
  ASSERT_TRUE(lock.has_value());
  EXPECT_TRUE(
      prepare_with({.inputs = {directory / "text.txt"}, .output = dataset, .validation_fraction = 0}).already_prepared);
}

TEST(Prepare, BadOptionsAreNamed) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "text/a.txt", "text");
  for (const double fraction : {-0.1, 1.0, std::nan("")}) {
    expect_contains(error_of(ErrorKind::usage,
                             [&] {
                               prepare_with({.inputs = {directory / "text"},
                                             .output = directory / "dataset",
                                             .validation_fraction = fraction});
                             }),
                    {"--validation-fraction"});
  }
  for (const std::string& output : {directory / "text", directory / "text/inside/"}) {
    expect_contains(
        error_of(ErrorKind::usage, [&] { prepare_with({.inputs = {directory / "text"}, .output = output}); }),
        {"--output", "--input"});
  }
  expect_contains(error_of(ErrorKind::usage,
                           [&] {
                             write_file(directory / "file", "x");
                             prepare_with({.inputs = {directory / "text"}, .output = directory / "file"});
                           }),
                  {"--output", "is a file"});
}

TEST(Prepare, AnEmptyCorpusAndATooShortOneAreNamed) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "empty.txt", "");
  expect_contains(error_of(ErrorKind::data, [&] { prepare_text(directory, ""); }), {"empty", directory / "text.txt"});
  expect_contains(error_of(ErrorKind::data, [&] { prepare_text(directory, "x", 100, 0.5); }),
                  {"1 bytes", "--validation-fraction 0"});
  EXPECT_FALSE(std::filesystem::exists(directory / "dataset"));
}

TEST(Prepare, AnUnwritableOrFullOutputLeavesNothing) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "text.txt", numbered_text(100000));
  write_file(directory / "file", "x");
  expect_contains(
      error_of(ErrorKind::io,
               [&] { prepare_with({.inputs = {directory / "text.txt"}, .output = directory / "file/dataset"}); }),
      {directory / "file/dataset"});
  const tests::FileSizeLimit disk(50000);
  expect_contains(
      error_of(ErrorKind::io,
               [&] { prepare_with({.inputs = {directory / "text.txt"}, .output = directory / "deep/dataset"}); }),
      {directory / "deep/dataset"});
  EXPECT_FALSE(std::filesystem::exists(directory / "deep/dataset"));
}

TEST(Prepare, AFailureAtAnyAccessLeavesNothingHalfValid) {
  for (const bool for_good : {false, true}) {
    int64_t failures = 0;
    for (int64_t fail_at = 0;; ++fail_at) {
      const tests::TemporaryDirectory directory;
      const std::string output = directory / "dataset";
      write_file(directory / "text.txt", numbered_text(400));
      const PrepareOptions options{.inputs = {directory / "text.txt"}, .output = output};
      FailingFiles files({.call = fail_at, .for_good = for_good});
      try {
        prepare(files, ByteTokenizer(), options);
        if (files.injected().empty()) break;
        continue;  // what failed was not needed any more: a work file stayed
      } catch (const runtime::Error& error) {
        EXPECT_TRUE(std::string(error.what()).ends_with(": No space left on device")) << error.what();
      }
      ++failures;
      if (!for_good) {
        EXPECT_FALSE(std::filesystem::exists(output)) << "access " << fail_at;
      }
      // Gone for good, the disk may keep debris, or the finished dataset when only its last sync failed.
      prepare_with(options);
      EXPECT_EQ(documents_in(output, "train").size(), 1u) << "access " << fail_at;
    }
    EXPECT_GT(failures, 25);  // two shards and the manifest: open, create, append, read, sync, rename, remove
  }
}

TEST(Prepare, ABadRowLeavesNothing) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "rows.jsonl", many_rows(3) + "{\"text\": 3}\n");
  error_of(ErrorKind::data,
           [&] { prepare_with({.inputs = {directory / "rows.jsonl"}, .output = directory / "dataset"}); });
  EXPECT_FALSE(std::filesystem::exists(directory / "dataset"));
}

}  // namespace
}  // namespace trireme::data
