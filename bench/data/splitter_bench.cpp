// Bytes of text that the splitters cut in a second, scanners beside PCRE2 with the same pattern:
//   build/cpu-release/bin/splitter_bench [--benchmark_filter=scanner] [--benchmark_repetitions=5]
// from the root of the checkout. Texts: WikiText-2 and tinyshakespeare of TRIREME_TEST_DATA, this project's own
// data/*.cpp, and sentences in Chinese, Japanese and Korean between English ones. Scanners are held against whole
// encoders, the best of which reach 70 to 90 MB/s on English, 20 on Chinese: a splitter should take a fifth of that time
// on English (400 MB/s) and a tenth on Chinese (200 MB/s).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "data/splitter.h"

namespace {

using namespace trireme::data;

std::string read(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

std::string source_code() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator("data")) {
    if (entry.path().extension() == ".cpp") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::string text;
  while (!paths.empty() && text.size() < size_t{1} << 20) {
    for (const auto& path : paths) text += read(path);
  }
  return text;
}

/// A megabyte of sentences in an order that does not repeat.
std::string mixed_cjk() {
  constexpr std::array<const char*, 8> kSentences = {
      "自然语言处理是人工智能的一个重要分支，研究如何让计算机理解人类的语言。",
      "北京是中华人民共和国的首都，2024年常住人口约2183万人。",
      "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
      "東京タワーの高さは333メートルで、1958年に完成しました。",
      "한국어는 한반도에서 사용되는 언어로, 약 7,700만 명이 사용한다.",
      "서울의 봄은 짧지만 벚꽃이 아름답다.",
      "The model was trained on 300 billion tokens of text, and it shows.\n",
      "模型(model)的参数量为7B，在A100上训练了约184,320个GPU小时。\n"};
  std::mt19937 random(1);
  std::string text;
  while (text.size() < size_t{1} << 20) text += kSentences[random() % kSentences.size()];
  return text;
}

void cut(benchmark::State& state, const std::shared_ptr<Splitter>& splitter, const std::string& text) {
  std::vector<uint32_t> ends;
  for (auto _ : state) {
    ends.clear();
    splitter->split(text, ends);
    benchmark::DoNotOptimize(ends.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["bytes/piece"] = static_cast<double>(text.size()) / static_cast<double>(ends.size());
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const char* set = std::getenv("TRIREME_TEST_DATA");
  const std::filesystem::path directory = set != nullptr ? set : "../shared/data";
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"wikitext2", read(directory / "wikitext2-valid.txt")},
      {"shakespeare", read(directory / "tinyshakespeare.txt")},
      {"code", source_code()},
      {"cjk", mixed_cjk()}};
  for (const char* pattern : {"gpt2", "cl100k", "o200k"}) {
    for (const auto& [name, text] : texts) {
      if (text.empty()) {
        std::cerr << "splitter_bench: no text for " << name << "; start it in the root of the checkout, and set "
                  << "TRIREME_TEST_DATA\n";
        continue;
      }
      const std::string suffix = "/" + std::string(pattern) + "/" + name;
      const std::shared_ptr<Splitter> scanner = make_splitter(pattern_by_name(pattern));
      const std::shared_ptr<Splitter> pcre2 = make_pcre2_splitter(pattern_by_name(pattern));
      benchmark::RegisterBenchmark(("scanner" + suffix).c_str(), cut, scanner, text);
      benchmark::RegisterBenchmark(("pcre2" + suffix).c_str(), cut, pcre2, text);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
