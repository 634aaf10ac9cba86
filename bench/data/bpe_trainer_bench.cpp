// Learning a vocabulary from a text made of real ones (made_text.h), step by step:
//   build/cpu-release/bin/bpe_trainer_bench [--megabytes 1000] [--vocabulary-size 32000] [--pattern gpt2] [--threads 1]
//       [--misspelt-per-million 60000] [--text PATH:PATH...] [--write FILE]
// --text is read besides tinyshakespeare and wikitext2-valid of TRIREME_TEST_DATA. --write keeps the text, on which
// tests/parity/bpe_merges.py --time FILE 32000 measures Hugging Face's trainer; equal digests are equal merges. Seconds
// of CPU are of all threads. Held against: counting at 100 MB/s a core, learning 32k tokens of 1 GB in 20 s.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bench/data/made_text.h"
#include "bench/model/bench_options.h"
#include "data/bpe_trainer.h"
#include "data/safe_cut.h"
#include "data/splitter.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/stopwatch.h"

namespace trireme::data {
namespace {

constexpr size_t kPartBytes = size_t{1} << 20;

struct Seconds {
  double wall = 0;
  double cpu = 0;
};

Seconds time_of(const std::function<void()>& act) {
  const runtime::Stopwatch watch;
  const std::clock_t begin = std::clock();
  act();
  return {watch.seconds(), static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC};
}

/// The text in parts of a megabyte, cut as `prepare` cuts.
std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  while (text.size() > kPartBytes) {
    const size_t cut = safe_cut(text.substr(0, kPartBytes));
    parts.push_back(text.substr(0, cut > 0 ? cut : kPartBytes));
    text.remove_prefix(parts.back().size());
  }
  parts.push_back(text);
  return parts;
}

int64_t resident_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) / 1000;
  }
  return 0;
}

/// As tests/parity/bpe_merges.py digests them: lines of two hexadecimal ids.
std::string merges_digest(const BpeVocabulary& vocabulary) {
  std::ostringstream text;
  text << std::hex;
  for (const auto& [left, right] : vocabulary.merges) text << left << ' ' << right << '\n';
  return runtime::sha256(text.str());
}

void print(const char* what, Seconds seconds, double megabytes) {
  std::printf("%-28s %7.2f s, %7.2f s of CPU", what, seconds.wall, seconds.cpu);
  if (megabytes > 0) std::printf(", %6.1f MB/s a core", megabytes / seconds.cpu);
  std::printf("\n");
  std::fflush(stdout);
}

PieceCounts count(const std::vector<std::string_view>& parts, const Splitter& splitter, size_t threads,
                  double megabytes) {
  std::vector<PieceCounts> of_threads(threads);
  print("split and count", time_of([&] {
          std::vector<std::future<void>> running;
          for (size_t thread = 0; thread < threads; ++thread) {
            running.push_back(std::async(std::launch::async, [&, thread] {
              for (size_t part = thread; part < parts.size(); part += threads) {
                of_threads[thread].add_text(splitter, parts[part]);
              }
            }));
          }
          for (std::future<void>& one : running) one.get();
        }),
        megabytes);
  print("put counts together", time_of([&] {
          for (size_t thread = 1; thread < threads; ++thread) {
            of_threads[0].merge(of_threads[thread]);
            of_threads[thread] = {};
          }
        }),
        0);
  return std::move(of_threads[0]);
}

void bench(const model::BenchOptions& options) {
  const char* variable = std::getenv("TRIREME_TEST_DATA");
  const std::string texts = variable != nullptr ? variable : "../shared/data";
  const char* pattern = pattern_by_name(options.text("--pattern"));
  if (pattern == nullptr) throw options.wrong("--pattern is gpt2, cl100k or o200k");
  std::vector<std::string> sources = {texts + "/tinyshakespeare.txt", texts + "/wikitext2-valid.txt"};
  std::istringstream more(options.text("--text"));
  for (std::string source; std::getline(more, source, ':');) sources.push_back(source);
  const std::string text =
      make_text({.sources = sources,
                 .bytes = options.number("--megabytes") * 1'000'000,
                 .misspelt = static_cast<double>(options.number("--misspelt-per-million", 0)) / 1e6});
  if (!options.text("--write").empty()) std::ofstream(options.text("--write"), std::ios::binary) << text;
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  const std::vector<std::string_view> parts = parts_of(text);
  const auto threads = static_cast<size_t>(options.number("--threads"));
  const auto splitter = make_splitter(pattern);

  int64_t pieces = 0;
  print("split alone", time_of([&] {
          std::vector<uint32_t> ends;
          for (const std::string_view part : parts) {
            ends.clear();
            splitter->split(part, ends);
            pieces += static_cast<int64_t>(ends.size());
          }
        }),
        megabytes);
  const PieceCounts counts = count(parts, *splitter, threads, megabytes);
  std::printf("%.0f MB, %.1f M pieces, %.2f M distinct\n", megabytes, static_cast<double>(pieces) / 1e6,
              static_cast<double>(counts.distinct()) / 1e6);
  const int64_t before = resident_megabytes();
  BpeVocabulary vocabulary;
  print("learn", time_of([&] {
          vocabulary = train_bpe(counts, {.vocabulary_size = options.number("--vocabulary-size"),
                                          .special_tokens = {"<|endoftext|>"},
                                          .threads = static_cast<int>(threads)});
        }),
        0);
  std::printf("%zu tokens, SHA-256 of the merges %s\npeak memory %lld MB, %lld before learning (with the text)\n",
              vocabulary.tokens.size(), merges_digest(vocabulary).c_str(), static_cast<long long>(resident_megabytes()),
              static_cast<long long>(before));
}

}  // namespace
}  // namespace trireme::data

int main(int argc, char** argv) {
  try {
    trireme::data::bench({"bpe_trainer_bench",
                          {{"--megabytes", "1000"},
                           {"--vocabulary-size", "32000"},
                           {"--pattern", "gpt2"},
                           {"--threads", "1"},
                           {"--misspelt-per-million", "60000"},
                           {"--text", "/usr/share/doc:/usr/share/perl"},
                           {"--write", ""}},
                          argc,
                          argv});
  } catch (const trireme::runtime::Error& error) {
    std::cerr << error.what() << '\n';
    return error.kind() == trireme::runtime::ErrorKind::usage ? 2 : 1;
  }
  return 0;
}
