// How `prepare` goes about its work: threads, pieces, duplicates, what it tells meanwhile.
#include <algorithm>
#include <map>
#include <mutex>

#include "data/prepare.h"
#include "data/token_dataset.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;

/// All files of a directory.
std::map<std::string, std::string> content_of(const std::string& directory) {
  std::map<std::string, std::string> content;
  for (const std::string& name : runtime::real_files().list(directory))
    content[name] = read_file(directory + "/" + name);
  return content;
}

PrepareReport prepare_with(const PrepareOptions& options) {
  return prepare(runtime::real_files(), ByteTokenizer(), options);
}

/// A long document, short ones, rows with duplicates, nothing.
std::vector<std::string> write_corpus(const tests::TemporaryDirectory& directory) {
  write_file(directory / "a.txt", numbered_text(70000));
  write_file(directory / "b.txt", "");
  std::string rows;
  for (int i = 0; i < 600; ++i) rows += "{\"text\": \"row number " + std::to_string(i % 400) + "\"}\n";
  write_file(directory / "c.jsonl", rows);
  write_file(directory / "d.txt", numbered_text(5000));
  return {directory / "a.txt", directory / "b.txt", directory / "c.jsonl", directory / "d.txt"};
}

TEST(PreparePipeline, AnyNumberOfThreadsGivesTheSameFiles) {
  const tests::TemporaryDirectory directory;
  PrepareOptions options{.inputs = write_corpus(directory),
                         .output = directory / "1",
                         .text = {.piece_bytes = 1000},
                         .drop_duplicates = true,
                         .shard_tokens = 20000};
  prepare_with(options);
  const auto expected = content_of(options.output);
  EXPECT_GE(expected.size(), 6u);
  for (const int threads : {2, 5}) {
    options.output = directory / std::to_string(threads);
    options.threads = threads;
    prepare_with(options);
    EXPECT_TRUE(content_of(options.output) == expected) << threads;
  }
}

TEST(PreparePipeline, PiecesOfAnySizeGiveTheSameFiles) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", numbered_text(50000));
  std::map<std::string, std::string> expected;
  for (const int64_t piece_bytes : {100, 999, 30000, 1 << 30}) {  // the only document's cut lies in some piece
    const PrepareOptions options{.inputs = {directory / "a.txt"},
                                 .output = directory / std::to_string(piece_bytes),
                                 .text = {.piece_bytes = piece_bytes},
                                 .shard_tokens = 20000};
    prepare_with(options);
    if (expected.empty()) expected = content_of(options.output);
    EXPECT_TRUE(content_of(options.output) == expected) << piece_bytes;
  }
  const TokenDataset train(runtime::real_files(), directory / "100", "train");
  const TokenDataset validation(runtime::real_files(), directory / "100", "validation");
  EXPECT_NEAR(static_cast<double>(validation.tokens()), 5000, 100);
  EXPECT_EQ(train.tokens() + validation.tokens(), 50002);
  const std::string text = numbered_text(50000);
  const DocumentSpan first = train.documents(0, 1).front();
  EXPECT_EQ(first.hash, runtime::xxh3_128(std::as_bytes(std::span(text))));
  EXPECT_EQ(validation.documents(0, 1).front().hash, first.hash) << "of the document that was cut";
}

TEST(PreparePipeline, OnlyOneDocumentIsKeptAmongEmptyOnesAndDuplicates) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", "||" + numbered_text(3000) + "|" + numbered_text(3000) + "|");
  const PrepareReport report = prepare_with({.inputs = {directory / "a.txt"},
                                             .output = directory / "dataset",
                                             .text = {.separator = "|", .piece_bytes = 500},
                                             .drop_duplicates = true});
  EXPECT_EQ(report.dataset.fates.kept, 1);
  EXPECT_EQ(report.dataset.fates.duplicate, 1);
  EXPECT_EQ(report.dataset.fates.documents(), report.dataset.fates.empty + 2);
  const SplitManifest& train = report.dataset.splits.at("train");
  const SplitManifest& validation = report.dataset.splits.at("validation");
  EXPECT_EQ(train.bytes + validation.bytes, 3000);
  EXPECT_NEAR(static_cast<double>(validation.bytes), 300, 50);
}

TEST(PreparePipeline, OfDuplicatesTheFirstStays) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.jsonl",
             "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"text\": \"one\"}\n{\"text\": \"\"}\n{\"text\": \"\"}\n");
  write_file(directory / "b.txt", "two|three|three\r\n|" + numbered_text(3000) + "|" + numbered_text(3000));
  PrepareOptions options{.inputs = {directory / "a.jsonl", directory / "b.txt"},
                         .output = directory / "dataset",
                         .validation_fraction = 0,
                         .text = {.separator = "|", .piece_bytes = 500},
                         .drop_duplicates = true};
  const PrepareReport report = prepare_with(options);
  EXPECT_EQ(report.dataset.fates,
            (DocumentFates{.kept = 5, .empty = 2, .duplicate = 3, .repaired = 0, .repairs = 0, .changed = 0}));
  const TokenDataset dataset(runtime::real_files(), directory / "dataset", "train");
  std::vector<std::pair<std::string, int64_t>> places;
  for (const DocumentSpan& span : dataset.documents(0, dataset.tokens())) places.emplace_back(span.file, span.row);
  const std::vector<std::pair<std::string, int64_t>> expected = {{directory / "a.jsonl", 1},
                                                                 {directory / "a.jsonl", 2},
                                                                 {directory / "b.txt", 2},
                                                                 {directory / "b.txt", 3},
                                                                 {directory / "b.txt", 4}};
  EXPECT_EQ(places, expected);

  options.output = directory / "all";
  options.drop_duplicates = false;
  EXPECT_EQ(prepare_with(options).dataset.fates.kept, 8);
}

TEST(PreparePipeline, FatesOfAllDocumentsAreCounted) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", "good|bad \xff\xfe|line\r\nend|\x01\x02");
  const PrepareReport report =
      prepare_with({.inputs = {directory / "a.txt"},
                    .output = directory / "dataset",
                    .text = {.separator = "|", .cleaning = {.remove_controls = true, .unix_line_ends = true}}});
  EXPECT_EQ(report.dataset.fates,
            (DocumentFates{.kept = 3, .empty = 1, .duplicate = 0, .repaired = 1, .repairs = 2, .changed = 1}));
}

TEST(PreparePipeline, TheFirstErrorInTheTextIsTheOneThatIsTold) {
  const tests::TemporaryDirectory directory;
  std::string rows;
  for (int i = 0; i < 3000; ++i) {
    rows += i == 700 || i == 703 || i > 2000 ? "{\"text\": 3}\n" : "{\"text\": \"row\"}\n";
  }
  write_file(directory / "a.jsonl", rows);
  for (const int threads : {1, 4}) {
    for (int repeat = 0; repeat < 5; ++repeat) {
      const PrepareOptions options{.inputs = {directory / "a.jsonl"},
                                   .output = directory / "dataset",
                                   .text = {.piece_bytes = 50},
                                   .threads = threads};
      expect_contains(error_of(ErrorKind::data, [&] { prepare_with(options); }), {directory / "a.jsonl", "line 701"});
      EXPECT_FALSE(std::filesystem::exists(directory / "dataset"));
    }
  }
}

TEST(PreparePipeline, TextThatChangesBetweenThePassesIsNoticed) {
  const tests::TemporaryDirectory directory;
  for (const std::string& changed : {numbered_text(5000) + "more", numbered_text(4000), std::string(5000, 'x')}) {
    write_file(directory / "a.txt", numbered_text(5000) + "|second");
    const PrepareOptions options{.inputs = {directory / "a.txt"},
                                 .output = directory / "dataset",
                                 .text = {.separator = "|", .piece_bytes = 500},
                                 .journal_bytes = 1,
                                 .progress = [&](const PrepareProgress& progress) {
                                   if (progress.phase == PreparePhase::survey && progress.bytes == progress.total_bytes)
                                     write_file(directory / "a.txt", changed);
                                 }};
    expect_contains(error_of(ErrorKind::data, [&] { prepare_with(options); }), {"changed while", "again"});
    EXPECT_FALSE(std::filesystem::exists(directory / "dataset")) << "work on text that is none is of no use";
  }
}

TEST(PreparePipeline, TellsHowFarItIs) {
  const tests::TemporaryDirectory directory;
  std::vector<PrepareProgress> told;
  prepare_with({.inputs = write_corpus(directory), .output = directory / "dataset", .progress = [&](const auto& now) {
                  told.push_back(now);
                }});
  ASSERT_GE(told.size(), 2u);
  EXPECT_EQ(told.front().phase, PreparePhase::survey);
  EXPECT_EQ(told.back().phase, PreparePhase::write);
  EXPECT_EQ(told.back().documents, 603);
  EXPECT_EQ(told.back().bytes, told.back().total_bytes);
  EXPECT_EQ(told.back().total_bytes, 75000 + std::ssize(read_file(directory / "c.jsonl")));
}

TEST(PreparePipeline, EveryCleanPieceIsVisitedOnce) {
  const tests::TemporaryDirectory directory;
  const PrepareOptions options{
      .inputs = write_corpus(directory), .text = {.may_cut = true, .piece_bytes = 1000}, .threads = 3};
  std::mutex mutex;
  std::map<std::pair<int64_t, int64_t>, int64_t> bytes;  // of a document
  int visitors = 0;
  for_each_clean_piece(runtime::real_files(), options, [&](int) {
    ++visitors;
    return [&](const TextPiece& piece) {
      const std::lock_guard lock(mutex);
      bytes[{piece.source, piece.row}] += std::ssize(piece.text);
    };
  });
  EXPECT_EQ(visitors, 3);
  EXPECT_EQ(bytes.size(), 603u);
  EXPECT_EQ((bytes[{0, 1}]), 70000);
  EXPECT_EQ((bytes[{2, 600}]), std::ssize(std::string("row number 199")));
}

}  // namespace
}  // namespace trireme::data
