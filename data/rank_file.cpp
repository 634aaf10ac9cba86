#include "data/rank_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "data/splitter.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

struct RankVocabulary {
  const char* name;
  const char* pattern;
  std::vector<std::pair<int32_t, const char*>> special_tokens;
};

// Special tokens: openai_public.py of tiktoken.
const std::array<RankVocabulary, 5>& rank_vocabularies() {
  static const std::array<RankVocabulary, 5> vocabularies = {
      {{"r50k_base", kGpt2Pattern, {{50256, "<|endoftext|>"}}},
       {"p50k_base", kGpt2Pattern, {{50256, "<|endoftext|>"}}},
       {"cl100k_base",
        kTiktokenCl100kPattern,
        {{100257, "<|endoftext|>"},
         {100258, "<|fim_prefix|>"},
         {100259, "<|fim_middle|>"},
         {100260, "<|fim_suffix|>"},
         {100276, "<|endofprompt|>"}}},
       {"o200k_base", kO200kPattern, {{199999, "<|endoftext|>"}, {200018, "<|endofprompt|>"}}},
       {"llama3", kCl100kPattern, {}}}};
  return vocabularies;
}

const RankVocabulary* find_vocabulary(std::string_view name) {
  const auto found = std::ranges::find(rank_vocabularies(), name, &RankVocabulary::name);
  return found == rank_vocabularies().end() ? nullptr : &*found;
}

/// The 256 behind the ranks (Llama 3's tokenizer.py).
void add_llama3_tokens(TokenizerParts& parts) {
  constexpr std::array<const char*, 10> kFirst = {"<|begin_of_text|>",
                                                  "<|end_of_text|>",
                                                  "<|reserved_special_token_0|>",
                                                  "<|reserved_special_token_1|>",
                                                  "<|reserved_special_token_2|>",
                                                  "<|reserved_special_token_3|>",
                                                  "<|start_header_id|>",
                                                  "<|end_header_id|>",
                                                  "<|reserved_special_token_4|>",
                                                  "<|eot_id|>"};
  constexpr size_t kTokens = 256;
  for (size_t i = 0; i < kTokens; ++i) {
    const std::string content =
        i < kFirst.size() ? kFirst[i] : "<|reserved_special_token_" + std::to_string(i - 5) + "|>";
    parts.added_tokens.push_back({.id = static_cast<int32_t>(parts.vocabulary.tokens.size() + i), .content = content});
  }
  parts.begin_of_text = kFirst[0];
  parts.end_of_text = kFirst[1];
}

/// RFC 4648, with padding.
std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.empty() || text.size() % 4 != 0) return {};
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return {};
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 0xFF);
  }
  return bytes;
}

/// One line to `tokens`; false when it is not one.
bool read_line(std::string_view line, std::vector<std::string>& tokens) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  std::optional<std::string> bytes = from_base64(line.substr(0, space));
  const std::string_view number = line.substr(space + 1);
  int64_t rank = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), rank);
  if (!bytes.has_value() || bytes->empty() || error != std::errc() || end != number.data() + number.size())
    return false;
  if (rank < 0 || rank >= kVocabularyLimit) return false;
  const auto id = static_cast<size_t>(rank);
  tokens.resize(std::max(tokens.size(), id + 1));
  if (!tokens[id].empty()) return false;
  tokens[id] = std::move(*bytes);
  return true;
}

}  // namespace

std::string known_rank_vocabularies() {
  std::string names;
  for (const RankVocabulary& vocabulary : rank_vocabularies()) {
    names += (names.empty() ? "" : ", ") + std::string(vocabulary.name);
  }
  return names;
}

bool is_known_rank_vocabulary(std::string_view name) {
  return find_vocabulary(name) != nullptr;
}

TokenizerParts parse_rank_file(std::string_view text, const std::string& vocabulary, const std::string& path) {
  const RankVocabulary* known = find_vocabulary(vocabulary);
  if (known == nullptr) {
    throw Error(ErrorKind::usage,
                "the vocabulary " + vocabulary + " is not known: use one of " + known_rank_vocabularies());
  }
  TokenizerParts parts{.vocabulary = {.mode = BpeMode::ranks, .tokens = {}, .merges = {}},
                       .pattern = known->pattern,
                       .normal_forms = {},
                       .added_tokens = {},
                       .end_of_text = "<|endoftext|>",
                       .begin_of_text = {}};
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || read_line(line, parts.vocabulary.tokens)) continue;
    throw Error(ErrorKind::data, path + ", line " + std::to_string(number) +
                                     ": not a token in base64 and its rank, each rank once: is this a rank file of "
                                     "tiktoken?");
  }
  for (const auto& [id, content] : known->special_tokens) parts.added_tokens.push_back({.id = id, .content = content});
  if (known->special_tokens.empty()) add_llama3_tokens(parts);
  check_parts(parts, path);
  return parts;
}

}  // namespace trireme::data
