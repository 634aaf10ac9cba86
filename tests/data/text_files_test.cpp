#include "data/text_files.h"

#include "tests/data/compressed_text.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using namespace std::string_literals;

std::string refusal_of(const std::string& input, ErrorKind kind = ErrorKind::data) {
  return error_of(kind, [&] { list_text_files(runtime::real_files(), std::vector<std::string>{input}); });
}

TEST(TextFiles, NamesSayWhatIsInside) {
  const tests::TemporaryDirectory directory;
  const std::vector<std::pair<std::string, std::string>> contents = {{"a.jsonl", "{}"},
                                                                     {"b.jsonl.gz", gzip("{}")},
                                                                     {"c.jsonl.zst", zstd("{}")},
                                                                     {"d.txt.gz", gzip("d")},
                                                                     {"e.md", "e"}};
  for (const auto& [name, content] : contents) write_file(directory / name, content);
  const std::vector<TextFile> texts =
      list_text_files(runtime::real_files(), std::vector<std::string>{directory.path()});
  ASSERT_EQ(texts.size(), contents.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(texts[i].path, directory / contents[i].first);
    EXPECT_EQ(texts[i].rows, i < 3);
    EXPECT_EQ(texts[i].size_bytes, std::ssize(contents[i].second));
  }
}

TEST(TextFiles, WhatIsSurelyNoTextIsRefused) {
  const tests::TemporaryDirectory directory;
  const std::vector<std::pair<std::string, std::string>> contents = {
      {"\x89HDF\r\n\x1A\n\0\0"s, "an HDF5 file"},
      {"\x89PNG\r\n\x1A\n\0\0"s, "a PNG image"},
      {"PK\x03\x04\x14\0"s, "a zip archive"},
      {"%PDF-1.7\n"s, "a PDF document"},
      {"BZh91AY&SY\0"s, "compressed by bzip2"},
      {std::string(257, '\0') + "ustar\0"s, "a tar archive"},
      {"\x7F"
       "ELF\x02"s,
       "a program"},
      {"PAR1\x15\0"s, "a Parquet table"},
      {"\xFF\xFEh\0i\0"s, "UTF-16"},
      {"\xFE\xFF\0h\0i"s, "UTF-16"},
  };
  for (const auto& [content, kind] : contents) {
    for (const std::string& packed : {content, gzip(content), zstd(content)}) {
      write_file(directory / "text/b.txt", packed);
      write_file(directory / "text/a.txt", "text");
      expect_contains(refusal_of(directory / "text/b.txt"), {directory / "text/b.txt", "is no text but " + kind});
      expect_contains(refusal_of(directory / "text"), {directory / "text/b.txt", "is no text but " + kind});
    }
  }
  write_file(directory / "twice.gz", gzip(gzip("text")));
  expect_contains(refusal_of(directory / "twice.gz"), {"compressed twice", "decompress"});
  write_file(directory / "plain.gz", "text");
  expect_contains(refusal_of(directory / "plain.gz"), {"neither gzip nor zstd"});
  write_file(directory / "cut.gz", gzip("text").substr(0, 12));
  expect_contains(refusal_of(directory / "cut.gz"), {"cut short"});
}

TEST(TextFiles, TextThatOnlyLooksLikeSomethingElseIsText) {
  const tests::TemporaryDirectory directory;
  for (const std::string& content :
       {""s, "P"s, "PK"s, "BZh is not bzip2"s, "PAR1 is no table"s, "\x89"s, "ustar"s, "\xEF\xBB\xBFtext"s, "GIF"s}) {
    write_file(directory / "a.txt", content);
    EXPECT_EQ(list_text_files(runtime::real_files(), std::vector<std::string>{directory / "a.txt"}).size(), 1u);
  }
}

TEST(TextFiles, APreparedDatasetIsNoInput) {
  const tests::TemporaryDirectory directory;
  const std::string dataset = prepare_text(directory, "some text");
  expect_contains(refusal_of(dataset, ErrorKind::usage), {dataset, "is a prepared dataset"});
  expect_contains(refusal_of(directory.path(), ErrorKind::usage), {dataset, "is a prepared dataset"});
  write_file(directory / "other/dataset.json", "{\"name\": \"of somebody else\"}");
  EXPECT_EQ(list_text_files(runtime::real_files(), std::vector<std::string>{directory / "other"}).size(), 1u);
}

TEST(TextFiles, RowsAreKnownByTheNameOfWhatIsInside) {
  for (const char* path : {"a.jsonl", "b/a.JSONL", "a.ndjson", "a.jsonl.gz", "a.ndjson.zst"}) {
    EXPECT_TRUE(holds_rows(path)) << path;
  }
  for (const char* path : {"a.json", "a.txt", "jsonl", "a.jsonl.txt"}) EXPECT_FALSE(holds_rows(path)) << path;
}

}  // namespace
}  // namespace trireme::data
