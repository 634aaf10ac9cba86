// How much memory reading takes: that of a few pieces, however long the files are. Slow: it writes hundreds of
// megabytes.
#include <gtest/gtest.h>

#include <malloc.h>

#include <fstream>
#include <sstream>

#include "data/documents.h"
#include "tests/data/compressed_text.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

/// The most memory that this process had since reset_peak().
int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    int64_t kib = 0;
    std::istringstream(line.substr(6)) >> kib;
    return kib << 10;
  }
  return 0;
}

/// What this process has now is the peak (man 5 proc, clear_refs).
void reset_peak() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
}

/// Reads, parses and cleans all of `path`; gives its bytes of text and how much memory that took beyond what was there.
std::pair<int64_t, int64_t> read_and_measure(const std::string& path, const TextOptions& options) {
  const std::vector<TextFile> texts = list_text_files(runtime::real_files(), std::vector<std::string>{path});
  reset_peak();
  const int64_t before = peak_bytes();
  int64_t bytes = 0;
  DocumentReader reader(runtime::real_files(), texts, options);
  RawPiece raw;
  PieceFate fate;
  while (reader.next(raw)) bytes += std::ssize(read_piece(raw, options, fate).text);
  return {bytes, peak_bytes() - before};
}

constexpr int64_t kPieceBytes = int64_t{4} << 20;
constexpr int64_t kFewPieces = 5 * kPieceBytes;  // read ahead (twice while it grows), raw, text, normal form

TEST(TextMemory, StaysThatOfAFewPieces) {
  const tests::TemporaryDirectory directory;
  const std::string block = numbered_text(1'000'000) + "\n";
  std::string rows;
  for (std::string_view rest = block; !rest.empty(); rest.remove_prefix(std::min<size_t>(rest.size(), 5000))) {
    rows += "{\"id\": 1, \"text\": \"";
    for (const char c : rest.substr(0, 5000)) rows += c == '\n' ? std::string("\\n") : std::string(1, c);
    rows += "\"}\n";
  }
  const std::vector<std::pair<std::string, std::string>> contents = {
      {"text.txt", block}, {"rows.jsonl", rows}, {"text.txt.gz", gzip(block)}, {"rows.jsonl.zst", zstd(rows)}};
  const TextOptions options{.may_cut = true, .piece_bytes = kPieceBytes, .cleaning = {.normal_form = NormalForm::nfc}};
  for (const auto& [name, content] : contents) {
    const std::string path = directory / name;
    {
      std::ofstream file(path, std::ios::binary);
      for (int i = 0; i < 300; ++i) file << content;
    }
    const auto [bytes, memory] = read_and_measure(path, options);
    EXPECT_EQ(bytes, 300 * std::ssize(block)) << name;
    EXPECT_LT(memory, kFewPieces) << name;
    std::cout << name << ": " << bytes / 1'000'000 << " MB of text in " << (memory >> 10) << " KiB\n";
    std::filesystem::remove(path);
  }
}

TEST(TextMemory, APieceOfMoreThanAGibibyteIsRefused) {
  const tests::TemporaryDirectory directory;
  for (const std::string name : {"zeros.txt", "zeros.jsonl"}) {
    write_file(directory / name, "x");
    std::filesystem::resize_file(directory / name, (std::uintmax_t{1} << 30) + (4 << 20));  // takes no room on the disk
    expect_contains(error_of(runtime::ErrorKind::data, [&] { read_and_measure(directory / name, {}); }),
                    {directory / name, " 1 has more than 1 GiB in one piece"});
  }
}

}  // namespace
}  // namespace trireme::data
