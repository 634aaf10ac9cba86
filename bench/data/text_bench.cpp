// Reading text on one core: build/cpu-release/bin/text_bench, with --benchmark_min_time=1 on a shared machine. Real
// text from TRIREME_TEST_DATA (default ../shared/data). bytes/s counts what goes in (for .jsonl the rows, for .gz and
// .zst the text that comes out); the bar of a row is 300 MB/s, and the encoder behind it takes 40 to 90 MB/s a core,
// so reading should be some hundreds. copy is the memory's own speed, boost_json what a general parser does.
#include <benchmark/benchmark.h>

#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "data/documents.h"
#include "data/json_row.h"
#include "data/utf8.h"
#include "runtime/files.h"

namespace trireme::data {
namespace {

std::string load(const std::string& name) {
  const char* directory = std::getenv("TRIREME_TEST_DATA");
  std::ifstream file(std::string(directory == nullptr ? "../shared/data" : directory) + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string& english() {
  static const std::string text = load("wikitext2-valid.txt");
  return text;
}

/// Chinese, one line end in 40 characters.
const std::string& chinese() {
  static const std::string text = [] {
    std::string all;
    for (int i = 0; all.size() < (1 << 20); ++i) {
      append_utf8(all, static_cast<char32_t>(0x4E00 + (i * 7919) % 20000));
      if (i % 40 == 39) all += '\n';
    }
    return all;
  }();
  return text;
}

/// `text` in rows of about `bytes`, as json.dumps writes them: line ends and quotes escaped, characters beyond ASCII as
/// they are, some other fields.
std::vector<std::string> rows_of(const std::string& text, size_t bytes) {
  std::vector<std::string> rows;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin + bytes), text.size() - 1) + 1;
    const boost::json::object row = {{"id", rows.size()},
                                     {"text", std::string_view(text).substr(begin, end - begin)},
                                     {"meta", {{"url", "https://example.org/a/page.html"}, {"score", 0.25}}}};
    rows.push_back(boost::json::serialize(row));
    begin = end;
  }
  return rows;
}

void set_bytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

void copy(benchmark::State& state) {
  const std::string& text = english();
  for (auto _ : state) benchmark::DoNotOptimize(std::string(text));
  set_bytes(state, text.size());
}
BENCHMARK(copy);

void validate(benchmark::State& state, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(find_invalid_utf8(text));
  set_bytes(state, text.size());
}
BENCHMARK_CAPTURE(validate, english, english());
BENCHMARK_CAPTURE(validate, chinese, chinese());

void rows(benchmark::State& state, const std::string& text, bool by_boost) {
  const std::vector<std::string> all = rows_of(text, static_cast<size_t>(state.range(0)));
  const TextFile file{.path = "rows.jsonl", .rows = true};
  const TextOptions options;
  std::vector<RawPiece> pieces;
  size_t bytes = 0;
  for (const std::string& row : all) {
    pieces.push_back({.bytes = row, .file = &file, .row = std::ssize(pieces) + 1});
    bytes += row.size();
  }
  PieceFate fate;
  for (auto _ : state) {
    for (const RawPiece& piece : pieces) {
      if (by_boost) {
        const boost::json::value row = boost::json::parse(piece.bytes);
        benchmark::DoNotOptimize(std::string(row.at("text").as_string().c_str()));
      } else {
        benchmark::DoNotOptimize(read_piece(piece, options, fate));
      }
    }
  }
  set_bytes(state, bytes);
  state.SetItemsProcessed(state.iterations() * std::ssize(pieces));
}
BENCHMARK_CAPTURE(rows, english, english(), false)->Arg(500)->Arg(5000);
BENCHMARK_CAPTURE(rows, boost_json, english(), true)->Arg(500)->Arg(5000);
BENCHMARK_CAPTURE(rows, chinese, chinese(), false)->Arg(5000);
BENCHMARK_CAPTURE(rows, chinese_boost_json, chinese(), true)->Arg(5000);

void clean_text(benchmark::State& state, const std::string& text, const CleaningOptions& options) {
  PieceFate fate;
  for (auto _ : state) {
    std::string copied = text;
    clean(copied, options, fate);
    benchmark::DoNotOptimize(copied);
  }
  set_bytes(state, text.size());
}
BENCHMARK_CAPTURE(clean_text, controls, english(), {.remove_controls = true});
BENCHMARK_CAPTURE(clean_text, line_ends, english(), {.unix_line_ends = true});
BENCHMARK_CAPTURE(clean_text, nfc, english(), {.normal_form = NormalForm::nfc});
BENCHMARK_CAPTURE(clean_text, chinese_nfc, chinese(), {.normal_form = NormalForm::nfc});
BENCHMARK_CAPTURE(clean_text, chinese_controls, chinese(), {.remove_controls = true});

std::string packed(const std::string& text, const std::string& ending) {
  if (ending == ".zst") {
    std::string bytes(ZSTD_compressBound(text.size()), '\0');
    bytes.resize(ZSTD_compress(bytes.data(), bytes.size(), text.data(), text.size(), 3));
    return bytes;
  }
  if (ending != ".gz") return text;
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string bytes(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  deflate(&stream, Z_FINISH);
  bytes.resize(stream.total_out);
  deflateEnd(&stream);
  return bytes;
}

/// DocumentReader alone, on a file of 50 times the text that the system has in memory.
void read(benchmark::State& state, const std::string& ending, bool rows) {
  std::string text = english();
  if (rows) {
    text.clear();
    for (const std::string& row : rows_of(english(), 2000)) text += row + "\n";
  }
  const std::string path = std::filesystem::temp_directory_path() / ("trireme-text-bench" + ending);
  {
    std::ofstream file(path, std::ios::binary);
    for (int i = 0; i < 50; ++i) file << packed(text, ending);
  }
  const std::vector<TextFile> texts = {{.path = path, .rows = rows}};
  const TextOptions options{.may_cut = true};
  int64_t pieces = 0;
  for (auto _ : state) {
    DocumentReader reader(runtime::real_files(), texts, options);
    RawPiece raw;
    while (reader.next(raw)) ++pieces;
  }
  set_bytes(state, 50 * text.size());
  state.SetItemsProcessed(pieces);
  std::filesystem::remove(path);
}
BENCHMARK_CAPTURE(read, txt, ".txt", false);
BENCHMARK_CAPTURE(read, jsonl, ".jsonl", true);
BENCHMARK_CAPTURE(read, txt_gz, ".gz", false);
BENCHMARK_CAPTURE(read, txt_zst, ".zst", false);

}  // namespace
}  // namespace trireme::data

BENCHMARK_MAIN();
