#include "data/documents.h"

#include <random>

#include "data/safe_cut.h"
#include "tests/data/compressed_text.h"
#include "tests/data/prepared_text.h"
#include "tests/memory_files.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using tests::MemoryFiles;

void put(MemoryFiles& files, const std::string& path, const std::string& content) {
  files.create(path)->append(std::as_bytes(std::span(content)));
}

TextFile text_file(const std::string& path) {
  return {.path = path, .rows = path.find(".jsonl") != std::string::npos};
}

struct Piece {
  std::string bytes;
  int64_t row = 0;
  int64_t offset = 0;
  bool is_first = true;
  bool is_last = true;
  bool operator==(const Piece&) const = default;
};

void PrintTo(const Piece& piece, std::ostream* out) {
  *out << piece.row << "@" << piece.offset << (piece.is_first ? "[" : "(") << piece.bytes
       << (piece.is_last ? "]" : ")");
}

std::vector<Piece> pieces_of(runtime::Files& files, const std::string& path, const TextOptions& options) {
  const std::vector<TextFile> texts = {text_file(path)};
  DocumentReader reader(files, texts, options);
  std::vector<Piece> pieces;
  RawPiece raw;
  while (reader.next(raw)) {
    EXPECT_EQ(raw.file, &texts[0]);
    EXPECT_EQ(raw.source, 0);
    pieces.push_back({raw.bytes, raw.row, raw.offset, raw.is_first, raw.is_last});
  }
  EXPECT_FALSE(reader.next(raw));
  return pieces;
}

/// The pieces, which must not depend on how the file is read or packed.
std::vector<Piece> pieces_of(const std::string& path, const std::string& content, TextOptions options) {
  options.chunk_bytes = 1 << 20;
  MemoryFiles files;
  put(files, path, content);
  put(files, path + ".gz", gzip(content));
  const std::vector<Piece> pieces = pieces_of(files, path, options);
  for (int64_t chunk_bytes = 1; chunk_bytes < 20; ++chunk_bytes) {
    options.chunk_bytes = chunk_bytes;
    EXPECT_EQ(pieces_of(files, path, options), pieces) << chunk_bytes;
    EXPECT_EQ(pieces_of(files, path + ".gz", options), pieces) << chunk_bytes;
  }
  return pieces;
}

TEST(DocumentReader, CutsTextWithoutASafePlaceAtACharacter) {
  const std::string text = "1234567\u00e9\u00e9\r\n" + std::string(40, '5');
  const std::vector<Piece> pieces = pieces_of("a.txt", text, {.may_cut = true, .piece_bytes = 2});
  ASSERT_GT(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].bytes, "1234567");  // not inside the first two-byte letter
  EXPECT_EQ(pieces[1].bytes, "\u00e9\u00e9\r\n55");
  std::string joined;
  for (const Piece& piece : pieces) {
    EXPECT_LE(piece.bytes.size(), 8u);
    joined += piece.bytes;
  }
  EXPECT_EQ(joined, text);
  EXPECT_EQ(pieces_of("a.txt", "555\r\n5555", {.may_cut = true, .piece_bytes = 1})[1].bytes, "\r\n55");
}

TEST(DocumentReader, ByteOrderMarksAreNoText) {
  MemoryFiles files;
  put(files, "a.txt", "\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo");
  const std::vector<TextFile> texts = {text_file("a.txt")};
  const TextOptions options{.separator = "\n"};
  DocumentReader reader(files, texts, options);
  std::vector<std::string> documents;
  for (RawPiece raw; reader.next(raw);) {
    PieceFate fate;
    documents.push_back(read_piece(raw, options, fate).text);
  }
  EXPECT_EQ(documents, (std::vector<std::string>{"one", "\xEF\xBB\xBFtwo"}));
}

TEST(DocumentReader, GivesRowsWithTheNumbersOfTheirLines) {
  EXPECT_EQ(pieces_of("a.jsonl", "{\"a\": 1}\r\n\n \t\r\n{\"b\"}\n[]", {}),
            (std::vector<Piece>{{"{\"a\": 1}\r", 1}, {"{\"b\"}", 4}, {"[]", 5}}));
  EXPECT_EQ(pieces_of("a.jsonl", "\n\n{}\n\n", {}), (std::vector<Piece>{{"{}", 3}}));
  EXPECT_EQ(pieces_of("a.jsonl", "", {}), std::vector<Piece>{});
  const std::string long_row(5000, 'x');
  EXPECT_EQ(pieces_of("a.jsonl", "{}\n" + long_row + "\n{}", {.may_cut = true, .piece_bytes = 10}),
            (std::vector<Piece>{{"{}", 1}, {long_row, 2}, {"{}", 3}}))
      << "rows are not cut";
}

TEST(DocumentReader, SeparatesDocumentsAndGivesEmptyOnesToo) {
  const TextOptions options{.separator = "<|>"};
  EXPECT_EQ(pieces_of("a.txt", "one<|><|>two<|", options), (std::vector<Piece>{{"one", 1}, {"", 2}, {"two<|", 3}}));
  EXPECT_EQ(pieces_of("a.txt", "<|>one<|>", options), (std::vector<Piece>{{"", 1}, {"one", 2}}));
  EXPECT_EQ(pieces_of("a.txt", "<<|>|><<<|>>", options), (std::vector<Piece>{{"<", 1}, {"|><<", 2}, {">", 3}}));
  EXPECT_EQ(pieces_of("a.txt", "", options), (std::vector<Piece>{{"", 1}}));
  EXPECT_EQ(pieces_of("a.txt", "", {}), (std::vector<Piece>{{"", 1}}));
  EXPECT_EQ(pieces_of("a.txt", "one<|>two\n", {}), (std::vector<Piece>{{"one<|>two\n", 1}}));
  EXPECT_EQ(pieces_of("a.txt", "a\n\n\nb\n\n", {.separator = "\n\n"}), (std::vector<Piece>{{"a", 1}, {"\nb", 2}}));
}

TEST(DocumentReader, CutsLongDocumentsAtSafePlaces) {
  EXPECT_EQ(pieces_of("a.txt", "one two three four", {.may_cut = true, .piece_bytes = 9}),
            (std::vector<Piece>{
                {"one two", 1, 0, true, false}, {" three", 1, 7, false, false}, {" four", 1, 13, false, true}}));
  EXPECT_EQ(pieces_of("a.txt", "one two three four", {.may_cut = true, .piece_bytes = 18}),
            (std::vector<Piece>{{"one two three four", 1}}));
  EXPECT_EQ(pieces_of("a.txt", "one two three four", {.may_cut = false, .piece_bytes = 3}),
            (std::vector<Piece>{{"one two three four", 1}}));
  EXPECT_EQ(pieces_of("a.txt", "0123456789 0123456789 ab cd", {.may_cut = true, .piece_bytes = 13}),
            (std::vector<Piece>{{"0123456789 0123456789 ab", 1, 0, true, false}, {" cd", 1, 24, false, true}}))
      << "without a safe place a piece grows";
  EXPECT_EQ(pieces_of("a.txt", "\u4E2D\u6587\u3002\n\u4E2D\u6587\n", {.may_cut = true, .piece_bytes = 14}),
            (std::vector<Piece>{{"\u4E2D\u6587\u3002\n", 1, 0, true, false}, {"\u4E2D\u6587\n", 1, 10, false, true}}));
}

TEST(DocumentReader, PartsOfARandomTextMakeItWhole) {
  const std::vector<std::string> parts = {"a", "bc",  " ",    " d", "\n",     "\nE", "<",
                                          "|", "<|>", "\r\n", "1",  "\u00e9", "\xFF"};
  std::mt19937 random(17);
  for (int round = 0; round < 60; ++round) {
    std::string text;
    for (uint32_t i = random() % 100; i > 0; --i) text += parts[random() % parts.size()];
    const TextOptions whole{.separator = "<|>"};
    TextOptions cut = whole;
    cut.may_cut = true;
    cut.piece_bytes = 1 + random() % 20;
    std::vector<Piece> joined;
    const std::vector<Piece> given = pieces_of("a.txt", text, cut);
    int64_t last_bytes = 0;
    for (const Piece& piece : given) {
      EXPECT_EQ(piece.is_first, joined.empty() || joined.back().is_last);
      if (piece.is_first) {
        joined.push_back({.bytes = "", .row = piece.row, .offset = 0, .is_first = true, .is_last = false});
      } else {
        // The place is safe in the whole: its last safe place before the character behind it. Or there was none for long.
        EXPECT_FALSE(piece.bytes.empty());
        const std::string& before = joined.back().bytes;
        const std::string end = before.substr(before.size() - std::min<size_t>(before.size(), 5));
        const std::string around = end + piece.bytes.substr(0, 3);
        size_t place = safe_cut(around);
        while (place > end.size()) place = safe_cut(std::string_view(around).substr(0, place));
        const bool has_no_safe_place = last_bytes >= 4 * cut.piece_bytes - 3;
        EXPECT_TRUE(has_no_safe_place || place == end.size()) << end << "|" << piece.bytes;
      }
      last_bytes = std::ssize(piece.bytes);
      EXPECT_EQ(piece.offset, std::ssize(joined.back().bytes));
      EXPECT_EQ(piece.row, joined.back().row);
      EXPECT_TRUE(piece.is_last || !piece.bytes.empty());
      if (std::ssize(piece.bytes) > cut.piece_bytes) {
        EXPECT_EQ(safe_cut(piece.bytes.substr(0, static_cast<size_t>(cut.piece_bytes))), 0u) << piece.bytes;
      }
      joined.back().bytes += piece.bytes;
      joined.back().is_last = piece.is_last;
    }
    EXPECT_EQ(joined, pieces_of("a.txt", text, whole));
  }
}

TEST(DocumentReader, GoesThroughFilesInOrderAndFromAnyOfThem) {
  MemoryFiles files;
  const std::vector<std::string> contents = {"first", "{}\n{}\n", "", zstd("packed")};
  std::vector<TextFile> texts;
  int64_t size_bytes = 0;
  for (const std::string path : {"a.txt", "b.jsonl", "c.txt", "d.txt.zst"}) {
    const std::string& content = contents[texts.size()];
    put(files, path, content);
    texts.push_back(text_file(path));
    size_bytes += std::ssize(content);
  }
  std::vector<std::string> all;
  for (int64_t first = 4; first >= 0; --first) {
    DocumentReader reader(files, texts, {}, first);
    all.clear();
    RawPiece raw;
    while (reader.next(raw)) {
      EXPECT_EQ(raw.file, &texts[static_cast<size_t>(raw.source)]);
      all.push_back(std::to_string(raw.source) + ":" + std::to_string(raw.row) + " " + raw.bytes);
    }
    if (first == 2) {
      EXPECT_EQ(all, (std::vector<std::string>{"2:1 ", "3:1 packed"}));
    }
    if (first == 0) {
      EXPECT_EQ(reader.bytes_read(), size_bytes);
    }
  }
  EXPECT_EQ(all, (std::vector<std::string>{"0:1 first", "1:1 {}", "1:2 {}", "2:1 ", "3:1 packed"}));
}

TEST(DocumentReader, NamesAFileThatIsCutShort) {
  MemoryFiles files;
  put(files, "a.jsonl.gz", gzip("{}\n{}\n").substr(0, 15));
  expect_contains(error_of(ErrorKind::data, [&] { pieces_of(files, "a.jsonl.gz", {}); }), {"a.jsonl.gz is cut short"});
}

TEST(DocumentReader, RefusesOptionsThatCannotWork) {
  expect_contains(error_of(ErrorKind::usage, [] { check_text_options({.separator = ""}); }), {"--document-separator"});
  for (const std::string field : {"", ".", "a.", ".a", "a..b"}) {
    expect_contains(error_of(ErrorKind::usage, [&] { check_text_options({.field = field}); }), {"--text-field"});
  }
  check_text_options({.field = "a.b"});
}

struct Read {
  std::string text;
  PieceFate fate;
};

Read read(const std::string& path, const std::string& bytes, const TextOptions& options, int64_t row = 7) {
  const TextFile file = text_file(path);
  Read result;
  const RawPiece raw{
      .bytes = bytes, .file = &file, .source = 3, .row = row, .offset = 100, .is_first = false, .is_last = true};
  const TextPiece piece = read_piece(raw, options, result.fate);
  EXPECT_EQ(piece.source, 3);
  EXPECT_EQ(piece.row, row);
  EXPECT_FALSE(piece.is_first);
  EXPECT_TRUE(piece.is_last);
  result.text = piece.text;
  return result;
}

TEST(ReadPiece, RepairsByDefaultAndCounts) {
  const Read text = read("a.txt", "caf\xE9 and \xE1\x80, \xC3\xA9", {});
  EXPECT_EQ(text.text, "caf\uFFFD and \uFFFD, \u00e9");
  EXPECT_EQ(text.fate.repairs, 2);
  EXPECT_FALSE(text.fate.is_changed);
  const Read row = read("a.jsonl", "{\"text\": \"\xE9 \\ud800 \xF0\x9F\\n\"}\r", {});
  EXPECT_EQ(row.text, "\uFFFD \uFFFD \uFFFD\n");
  EXPECT_EQ(row.fate.repairs, 3);
  const Read good = read("a.jsonl", R"({"text": "\u00e9"})", {});
  EXPECT_EQ(good.text, "\u00e9");
  EXPECT_EQ(good.fate.repairs, 0);
}

TEST(ReadPiece, KeepsBytesWhenAsked) {
  const TextOptions options{.cleaning = {.invalid_utf8 = InvalidUtf8::keep}};
  EXPECT_EQ(read("a.txt", "\xE9\x80\xFF", options).text, "\xE9\x80\xFF");
  const Read row = read("a.jsonl", "{\"text\": \"\xE9 \\ud800\"}", options);
  EXPECT_EQ(row.text, "\xE9 \xED\xA0\x80");
  EXPECT_EQ(row.fate.repairs, 0);
}

TEST(ReadPiece, RefusesWithFileRowAndByte) {
  const TextOptions options{.cleaning = {.invalid_utf8 = InvalidUtf8::refuse}};
  EXPECT_EQ(read("a.txt", "caf\u00e9", options).text, "caf\u00e9");
  expect_contains(error_of(ErrorKind::data, [&] { read("a.txt", "caf\xE9", options); }),
                  {"a.txt, document 7: no UTF-8 at byte 104 of the text", "--invalid-utf8 repair"});
  expect_contains(error_of(ErrorKind::data, [&] { read("a.jsonl", R"({"text": "ab\ud800"})", options); }),
                  {"a.jsonl, line 7: no UTF-8 at byte 103"});
}

TEST(ReadPiece, TakesTheFieldAndCleans) {
  const TextOptions options{
      .field = "meta.body",
      .cleaning = {.remove_controls = true, .unix_line_ends = true, .normal_form = NormalForm::nfc}};
  const Read row = read("a.jsonl", R"({"text": 1, "meta": {"body": "e\u0301\r\n\u0007"}})", options);
  EXPECT_EQ(row.text, "\u00e9\n");
  EXPECT_TRUE(row.fate.is_changed);
  expect_contains(error_of(ErrorKind::data, [&] { read("a.jsonl", R"({"text": "x"})", options); }),
                  {"a.jsonl, line 7: no field \"meta.body\"", "--text-field"});
  expect_contains(error_of(ErrorKind::data, [&] { read("a.jsonl", "{\"text\"", {}); }),
                  {"a.jsonl, line 7: not valid JSON", "one object a line"});
}

TEST(ReadPiece, AByteOrderMarkBelongsToNoRow) {
  const std::string row = "\xEF\xBB\xBF{\"text\": \"x\"}";
  EXPECT_EQ(read("a.jsonl", row, {}, 1).text, "x");
  expect_contains(error_of(ErrorKind::data, [&] { read("a.jsonl", row, {}, 2); }), {"line 2"});
}

}  // namespace
}  // namespace trireme::data
