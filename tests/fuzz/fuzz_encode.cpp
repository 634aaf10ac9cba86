// Any bytes through every scanner and both modes of BPE: decoding gives them back, PCRE2 cuts them at the same places
// where they are UTF-8, and a cut at a safe place changes no id.
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "data/bpe_trainer.h"
#include "data/piece_counts.h"
#include "data/safe_cut.h"
#include "data/splitter.h"
#include "data/utf8.h"

namespace {

using namespace trireme::data;

constexpr std::string_view kText =
    "The cat's whiskers, the dog's tail; they're 1234 and 56.\n\n  if (x == 10) { return \"don't\"; }\n"
    "L'été, c'est où? Größe, naïve, Ελληνικά, русский\r\n"
    "日本語の文章、中文字符。 👩‍👩‍👧 ١٢٣ ไทย\n"
    "\tend  of   it\n";

struct Case {
  std::unique_ptr<Splitter> oracle;
  std::unique_ptr<Splitter> scanner;
  std::unique_ptr<BpeTokenizer> tokenizer;
};

Case make_case(const char* pattern, BpeMode mode) {
  Case made{.oracle = make_pcre2_splitter(pattern), .scanner = make_splitter(pattern), .tokenizer = nullptr};
  PieceCounts counts;
  for (int i = 0; i < 3; ++i) counts.add_text(*made.scanner, kText);
  TokenizerParts parts{.vocabulary = train_bpe(counts, {.vocabulary_size = 400, .special_tokens = {"<|endoftext|>"}}),
                       .pattern = pattern,
                       .added_tokens = {{.id = 0, .content = "<|endoftext|>"}},
                       .end_of_text = "<|endoftext|>"};
  parts.vocabulary.mode = mode;
  if (mode == BpeMode::ranks) parts.vocabulary.merges.clear();
  made.tokenizer = std::make_unique<BpeTokenizer>(parts);
  return made;
}

const std::array<Case, 4>& cases() {
  static const std::array<Case, 4> all = {
      make_case(kGpt2Pattern, BpeMode::merges), make_case(kCl100kPattern, BpeMode::ranks),
      make_case(kO200kPattern, BpeMode::merges), make_case(kGpt2Pattern, BpeMode::ranks)};
  return all;
}

std::vector<uint32_t> ends_of(const Splitter& splitter, std::string_view text) {
  std::vector<uint32_t> ends;
  splitter.split(text, ends);
  return ends;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(input), size);
  const bool is_utf8 = find_invalid_utf8(text) == text.size();
  for (const Case& one : cases()) {
    if (is_utf8 && ends_of(*one.scanner, text) != ends_of(*one.oracle, text)) __builtin_trap();
    std::vector<int32_t> ids;
    one.tokenizer->encode(text, ids);
    if (one.tokenizer->decode(ids) != text) __builtin_trap();
    const size_t cut = safe_cut(text);
    std::vector<int32_t> parts;
    one.tokenizer->encode(text.substr(0, cut), parts);
    one.tokenizer->encode(text.substr(cut), parts);
    if (parts != ids) __builtin_trap();
  }
  return 0;
}
