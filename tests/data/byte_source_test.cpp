#include "data/byte_source.h"

#include <tuple>

#include "tests/data/compressed_text.h"
#include "tests/data/prepared_text.h"
#include "tests/memory_files.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using tests::MemoryFiles;

void put(MemoryFiles& files, const std::string& path, const std::string& content) {
  files.remove_all(path);
  files.create(path)->append(std::as_bytes(std::span(content)));
}

std::string read_all(runtime::Files& files, const std::string& path, int64_t chunk_bytes = 1 << 20,
                     size_t read_bytes = 1 << 20) {
  ByteSource source(files, path, chunk_bytes);
  std::string text;
  std::string bytes(read_bytes, '\0');
  for (size_t count = read_bytes; count == read_bytes;) {
    count = source.read(bytes);
    text.append(bytes, 0, count);
  }
  EXPECT_EQ(source.bytes_read(), source.size_bytes());
  return text;
}

TEST(ByteSource, GivesTheTextWhateverItIsPackedInAndHoweverItIsRead) {
  MemoryFiles files;
  const std::string text = numbered_text(700);
  const std::string_view half = std::string_view(text).substr(0, 333);
  const std::string rest = text.substr(333);
  const std::string skippable("\x53\x2A\x4D\x18\x03\x00\x00\x00xyz", 11);
  const std::vector<std::string> contents = {
      text,
      gzip(text),
      gzip(half) + gzip("") + gzip(rest),
      gzip(text) + std::string(1000, '\0'),  // padded like a tape
      zstd(text),
      zstd(half) + zstd("") + zstd(rest),
      skippable + zstd(half) + skippable + zstd(rest) + skippable,
  };
  for (size_t i = 0; i < contents.size(); ++i) {
    put(files, "text", contents[i]);
    for (const int64_t chunk_bytes : {1, 2, 3, 7, 64, 1 << 20}) {
      for (const size_t read_bytes : {1, 3, 100, 1 << 20}) {
        ASSERT_EQ(read_all(files, "text", chunk_bytes, read_bytes), text)
            << i << " " << chunk_bytes << " " << read_bytes;
      }
    }
  }
}

TEST(ByteSource, ReadsMoreThanAWindow) {
  MemoryFiles files;
  std::string text;
  while (text.size() < 3 << 20) text += numbered_text(1000 + text.size() / 100);
  for (const std::string& content : {gzip(text) + gzip(text), zstd(text) + zstd(text)}) {
    put(files, "text", content);
    EXPECT_TRUE(read_all(files, "text", 5000, 70000) == text + text);
  }
}

TEST(ByteSource, EmptyTextIsNothing) {
  MemoryFiles files;
  for (const std::string& content : {std::string(), gzip(""), zstd("")}) {
    put(files, "text", content);
    EXPECT_EQ(read_all(files, "text"), "");
  }
}

TEST(ByteSource, ACutFileIsNamedAndHowFarItWasRead) {
  MemoryFiles files;
  const std::string text = numbered_text(3000);
  for (const std::string& whole : {gzip(text), zstd(text), gzip(text) + gzip(text), zstd(text) + zstd(text)}) {
    for (size_t bytes = 4; bytes < whole.size(); ++bytes) {
      if (2 * bytes == whole.size()) continue;  // between two members
      put(files, "text", whole.substr(0, bytes));
      for (const int64_t chunk_bytes : {16, 1 << 20}) {
        const std::string message = error_of(ErrorKind::data, [&] { read_all(files, "text", chunk_bytes); });
        expect_contains(message, {"text is cut short",
                                  "at byte " + std::to_string(bytes) + " of " + std::to_string(bytes) + ", after ",
                                  " bytes of text"});
      }
    }
  }
}

TEST(ByteSource, DamageIsAnErrorAndNeverAnotherText) {
  MemoryFiles files;
  const std::string text = numbered_text(1000);
  for (const std::string& whole : {gzip(text), zstd(text)}) {
    int64_t errors = 0;
    for (size_t i = 4; i < whole.size(); ++i) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
      put(files, "text", damaged);
      try {
        ASSERT_EQ(read_all(files, "text"), text) << i;  // a time, a name: nothing of the text
      } catch (const runtime::Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::data) << error.what();
        ++errors;
      }
    }
    EXPECT_GT(errors, std::ssize(whole) - 12);
  }
  put(files, "text", gzip(text) + "garbage");
  expect_contains(error_of(ErrorKind::data, [&] { read_all(files, "text"); }), {"text is damaged", "after 1000 bytes"});
  put(files, "text", gzip(text) + std::string(10, '\0') + gzip(text));
  expect_contains(error_of(ErrorKind::data, [&] { read_all(files, "text", 10); }),
                  {"text is damaged", "behind the end"});
  put(files, "text", zstd(text) + "garbage");
  expect_contains(error_of(ErrorKind::data, [&] { read_all(files, "text"); }), {"text is damaged", "after 1000 bytes"});
}

TEST(ByteSource, AZstdWindowThatIsTooLargeHasItsOwnMend) {
  MemoryFiles files;
  // A frame header (RFC 8878, 3.1.1.1) with a window of 2^(10 + 18) bytes, then one raw block of one byte.
  put(files, "text", std::string("\x28\xB5\x2F\xFD\x00\x90\x09\x00\x00x", 10));
  expect_contains(error_of(ErrorKind::data, [&] { read_all(files, "text"); }), {"128 MiB", "--long"});
}

TEST(ByteSource, TheContentDecidesAndTheNameMustNotContradict) {
  MemoryFiles files;
  put(files, "a.gz", zstd("text"));  // a wrong name that does no harm
  EXPECT_EQ(read_all(files, "a.gz"), "text");
  for (const std::string path : {"plain.gz", "plain.txt.zst"}) {
    for (const std::string content : {"text", "t", ""}) {
      put(files, path, content);
      expect_contains(error_of(ErrorKind::data, [&] { read_all(files, path); }), {path, "neither gzip nor zstd"});
    }
  }
  EXPECT_EQ(name_inside("a/b.jsonl.gz"), "a/b.jsonl");
  EXPECT_EQ(name_inside("b.txt.zst"), "b.txt");
  EXPECT_EQ(name_inside("gz"), "gz");
}

}  // namespace
}  // namespace trireme::data
