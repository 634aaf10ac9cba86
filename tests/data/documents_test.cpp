#include "data/documents.h"

#include <sys/stat.h>

#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using Documents = std::vector<std::string>;

/// Every document that is not empty; bytes that are not UTF-8 are kept.
Documents documents_of(const std::vector<std::string>& inputs, const std::optional<std::string>& separator = {}) {
  runtime::Files& files = runtime::real_files();
  const std::vector<TextFile> texts = list_text_files(files, inputs);
  const TextOptions options{.separator = separator, .cleaning = {.invalid_utf8 = InvalidUtf8::keep}};
  DocumentReader reader(files, texts, options);
  Documents documents;
  PieceFate fate;
  for (RawPiece raw; reader.next(raw);) {
    const TextPiece document = read_piece(raw, options, fate);
    if (!document.text.empty()) documents.push_back(document.text);
  }
  return documents;
}

TEST(Documents, ATextFileIsOneDocument) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", "one\n\ntwo\n");
  EXPECT_EQ(documents_of({directory / "a.txt"}), Documents{"one\n\ntwo\n"});
}

TEST(Documents, ASeparatorCutsTextAndIsPartOfNone) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", "<|end|>one\n<|end|><|end|>two<|end|>");
  EXPECT_EQ(documents_of({directory / "a.txt"}, "<|end|>"), (Documents{"one\n", "two"}));
  expect_contains(error_of(ErrorKind::usage, [&] { documents_of({directory / "a.txt"}, ""); }),
                  {"--document-separator"});
}

TEST(Documents, ASeparatorMayLieAcrossReads) {
  // Files are read by the MiB: put the separator at every offset around that border, the second document beyond it.
  const tests::TemporaryDirectory directory;
  const std::string separator = "<|end|>";
  for (size_t before = (1 << 20) - separator.size() - 1; before <= (1 << 20) + 1; ++before) {
    const std::string first(before, '<');
    write_file(directory / "a.txt", first + separator + "second");
    const Documents documents = documents_of({directory / "a.txt"}, separator);
    ASSERT_EQ(documents.size(), 2u) << before;
    EXPECT_TRUE(documents[0] == first) << before;
    EXPECT_EQ(documents[1], "second") << before;
  }
}

TEST(Documents, RowsOfAJsonlFileAreDocuments) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "rows.jsonl",
             "{\"text\": \"one\\n\", \"id\": 1}\r\n\n  \n{\"text\": \"\"}\n{\"id\": 2, \"text\": \"\\u00e9\"}");
  EXPECT_EQ(documents_of({directory / "rows.jsonl"}), (Documents{"one\n", "\u00e9"}));
  EXPECT_EQ(documents_of({directory / "rows.jsonl"}, "n"), (Documents{"one\n", "\u00e9"})) << "rows are not cut";
}

TEST(Documents, ABadRowIsNamedByFileAndLine) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "rows.jsonl";
  for (const std::string row : {"{\"text\": \"cut", "{\"body\": \"x\"}", "{\"text\": 3}", "[\"text\"]"}) {
    write_file(path, "{\"text\": \"fine\"}\n\n" + row + "\n");
    expect_contains(error_of(ErrorKind::data, [&] { documents_of({path}); }), {path + ", line 3"});
  }
}

TEST(Documents, ADirectoryGivesItsFilesInSortedOrder) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "text/b.txt", "b");
  write_file(directory / "text/a/z.md", "z");
  write_file(directory / "text/a/rows.jsonl", "{\"text\": \"row 1\"}\n{\"text\": \"row 2\"}\n");
  write_file(directory / "text/.hidden", "hidden");
  write_file(directory / "text/.git/config", "hidden");
  write_file(directory / "text/empty.txt", "");
  const Documents expected = {"row 1", "row 2", "z", "b"};
  EXPECT_EQ(documents_of({directory / "text"}), expected);
  EXPECT_EQ(documents_of({directory / "text/"}), expected);
  EXPECT_EQ(documents_of({directory / "text/b.txt", directory / "text/a"}), (Documents{"b", "row 1", "row 2", "z"}));
}

TEST(Documents, MissingInputsAndDirectoriesWithoutTextAreNamed) {
  const tests::TemporaryDirectory directory;
  expect_contains(error_of(ErrorKind::usage, [&] { documents_of({directory / "nowhere"}); }),
                  {"--input", directory / "nowhere", "does not exist"});
  std::filesystem::create_directories(directory / "empty/deeper");
  write_file(directory / "empty/.hidden", "x");
  expect_contains(error_of(ErrorKind::data, [&] { documents_of({directory / "empty"}); }),
                  {"--input", directory / "empty", "without text"});
  expect_contains(error_of(ErrorKind::usage, [&] { documents_of({}); }), {"--input"});
}

TEST(Documents, OnlyRegularFilesAreText) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "text/a.txt", "a");
  ASSERT_EQ(::mkfifo((directory / "text/pipe").c_str(), 0600), 0);  // to open it would wait for a writer
  EXPECT_EQ(documents_of({directory / "text"}), Documents{"a"});
  for (const std::string& input : {directory / "text/pipe", std::string("/dev/null")}) {
    expect_contains(error_of(ErrorKind::usage, [&] { documents_of({input}); }),
                    {"--input " + input, "is not a regular file", "save"});
  }
  std::filesystem::create_symlink(directory / "text/a.txt", directory / "link.txt");
  EXPECT_EQ(documents_of({directory / "link.txt"}), Documents{"a"});
}

TEST(Documents, LinksDoNotLeadInCircles) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "text/a.txt", "a");
  write_file(directory / "text/deep/b.txt", "b");
  write_file(directory / "more/c.txt", "c");
  std::filesystem::create_symlink(".", directory / "text/0");
  std::filesystem::create_symlink("..", directory / "text/deep/up");
  std::filesystem::create_symlink(directory / "more", directory / "text/more");
  std::filesystem::create_symlink(directory / "more", directory / "text/more again");
  EXPECT_EQ(documents_of({directory / "text"}), (Documents{"a", "b", "c"}));
}

TEST(Documents, AnUnreadableFileIsNamed) {
  const tests::TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "text");
  std::filesystem::create_symlink(directory / "gone.txt", directory / "text/link.txt");
  expect_contains(error_of(ErrorKind::io, [&] { documents_of({directory / "text"}); }), {directory / "text/link.txt"});
  std::filesystem::create_symlink("circle.txt", directory / "text/circle.txt");
  expect_contains(error_of(ErrorKind::io, [&] { documents_of({directory / "text"}); }),
                  {directory / "text/circle.txt"});
}

}  // namespace
}  // namespace trireme::data
