#include "data/splitter.h"

#include <algorithm>
#include <array>
#include <utility>

#include "data/scanner.h"

namespace trireme::data {

constexpr char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kCl100kPattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kO200kPattern[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kTiktokenCl100kPattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s++$|\s*[\r\n]+|\s+(?!\S)|\s+)";

const char* pattern_by_name(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kPatterns = {
      {{"gpt2", kGpt2Pattern}, {"cl100k", kCl100kPattern}, {"llama3", kCl100kPattern}, {"o200k", kO200kPattern}}};
  for (const auto& [known, pattern] : kPatterns) {
    if (known == name) return pattern;
  }
  return nullptr;
}

namespace {

// The same expressions as others write them; where greed cannot be given back anyway, possessive.
constexpr std::array<std::string_view, 4> kGpt2Spellings = {
    kGpt2Pattern,
    // OpenAI's encoder.py
    R"('s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    // tiktoken up to 0.7
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    // tiktoken since; what its $ keeps whole, (?!\S) does too
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)",
};

struct Cl100kSpelling {
  std::string_view pattern;
  Cl100kRules rules;
};
constexpr std::array<Cl100kSpelling, 5> kCl100kSpellings = {{
    {kCl100kPattern, {}},
    {kTiktokenCl100kPattern, {.keeps_last_white_space_whole = true}},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)",
     {.keeps_last_white_space_whole = true}},
    // tiktoken up to 0.7
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     {}},
    // Qwen, Qwen2, Qwen2.5, Qwen3
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     {.max_digits = 1}},
}};

/// Null: the expression is not known.
std::unique_ptr<Splitter> make_scanner(const std::string& pattern) {
  if (std::ranges::find(kGpt2Spellings, pattern) != kGpt2Spellings.end()) return make_gpt2_scanner();
  for (const Cl100kSpelling& known : kCl100kSpellings) {
    if (known.pattern == pattern) return make_cl100k_scanner(known.rules);
  }
  if (pattern == kO200kPattern) return make_o200k_scanner();
  return nullptr;
}

}  // namespace

bool is_known_pattern(const std::string& pattern) {
  return make_scanner(pattern) != nullptr;
}

std::unique_ptr<Splitter> make_splitter(const std::string& pattern) {
  std::unique_ptr<Splitter> scanner = make_scanner(pattern);
  return scanner != nullptr ? std::move(scanner) : make_pcre2_splitter(pattern);
}

}  // namespace trireme::data
