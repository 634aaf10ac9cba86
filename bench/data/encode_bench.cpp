// Bytes of text that GPT-2's tokenizer encodes in a second on one core, splitting included, and splitting alone:
//   build/cpu-release/bin/encode_bench [--benchmark_filter=encode] [--benchmark_repetitions=5]
// from the root of the checkout; needs TRIREME_TEST_DATA. Texts of 20 MB: lines of WikiText-2, lines of this project's
// sources, and sentences in Chinese, Japanese and Korean between English ones, each in an order that does not repeat.
// Held against the best of the field on one core of a server: quicktok 72 (English) and 89 MB/s (code), IREE's
// tokenizer 45, 38 (CJK) and 52 MB/s; tiktoken reaches 9 to 14, released versions of Hugging Face's tokenizers 3 to 5.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "data/splitter.h"
#include "data/tokenizer_files.h"

namespace {

using namespace trireme::data;

constexpr size_t kTextBytes = 20'000'000;

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line + "\n");
  return lines;
}

std::vector<std::string> source_lines() {
  std::vector<std::string> lines;
  for (const char* room : {"checkpoint", "data", "launch", "model", "parallel", "runtime"}) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(room)) paths.push_back(entry.path());
    std::ranges::sort(paths);
    for (const auto& path : paths) {
      if (path.extension() == ".cpp" || path.extension() == ".h")
        std::ranges::copy(lines_of(path), std::back_inserter(lines));
    }
  }
  return lines;
}

/// Clauses rather than sentences, so that few neighbours are met again.
std::vector<std::string> cjk_clauses() {
  return {"自然语言处理是人工智能的一个重要分支，",
          "研究如何让计算机理解人类的语言。",
          "北京是中华人民共和国的首都，",
          "2024年常住人口约2183万人。",
          "长江发源于青藏高原的唐古拉山脉，最后在上海附近流入东海。",
          "他说：“我昨天在图书馆里读完了那本关于宋代瓷器的书。”",
          "模型(model)的参数量为7B，在A100上训练了约184,320个GPU小时。\n",
          "因为天气突然变冷，许多人都穿上了厚厚的外套；",
          "科学家们发现，这种植物只生长在海拔三千米以上的地方。\n",
          "請問附近有沒有捷運站？我想去故宮博物院。",
          "吾輩は猫である。名前はまだ無い。",
          "どこで生れたかとんと見当がつかぬ。",
          "東京タワーの高さは333メートルで、1958年に完成しました。",
          "コンピュータの性能は年々向上しているが、消費電力も増え続けている。\n",
          "「明日は雨が降るでしょう」と、天気予報で言っていました。",
          "新幹線に乗れば、京都まで二時間半ほどで着きます。",
          "この論文では、Transformerを用いた新しい手法を提案する。\n",
          "春になると、公園には桜を見に来る人々があふれる。",
          "한국어는 한반도에서 사용되는 언어로, 약 7,700만 명이 사용한다.",
          "서울의 봄은 짧지만 벚꽃이 아름답다.\n",
          "이 연구는 대규모 언어 모델의 학습 효율을 높이는 방법을 다룬다.",
          "어제 친구와 함께 시장에서 떡볶이를 먹었다.",
          "정부는 내년부터 새로운 제도를 시행하기로 결정했다고 밝혔다.\n",
          "The model was trained on 300 billion tokens of text, and it shows.\n",
          "However, the results could not be reproduced by other groups (see Table 3).\n",
          "See https://example.org/docs/index.html for more.\n"};
}

std::string shuffled(const std::vector<std::string>& parts) {
  std::mt19937 random(1);
  std::string text;
  while (!parts.empty() && text.size() < kTextBytes) text += parts[random() % parts.size()];
  return text;
}

void encode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids;
  for (auto _ : state) {
    ids.clear();
    tokenizer.encode(text, ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["bytes/token"] = static_cast<double>(text.size()) / static_cast<double>(ids.size());
}

void split(benchmark::State& state, const Splitter& splitter, const std::string& text) {
  std::vector<uint32_t> ends;
  for (auto _ : state) {
    ends.clear();
    splitter.split(text, ends);
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
  if (!std::filesystem::exists(directory / "gpt2-tokenizer") || !std::filesystem::exists("runtime")) {
    std::cerr << "encode_bench: start it in the root of the checkout, and set TRIREME_TEST_DATA\n";
    return 2;
  }
  const BpeTokenizer tokenizer(read_tokenizer(trireme::runtime::real_files(), directory / "gpt2-tokenizer"));
  const auto splitter = make_splitter(kGpt2Pattern);
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"english", shuffled(lines_of(directory / "wikitext2-valid.txt"))},
      {"code", shuffled(source_lines())},
      {"cjk", shuffled(cjk_clauses())}};
  for (const auto& [name, text] : texts) {
    benchmark::RegisterBenchmark(("encode/" + name).c_str(),
                                 [&](benchmark::State& state) { encode(state, tokenizer, text); });
    benchmark::RegisterBenchmark(("split/" + name).c_str(),
                                 [&](benchmark::State& state) { split(state, *splitter, text); });
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
