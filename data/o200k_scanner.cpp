// With X for [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and Y for [\p{Ll}\p{Lm}\p{Lo}\p{M}]:
//   [^\r\n\p{L}\p{N}]?X*Y+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?X+Y*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
#include "data/scanner.h"

namespace trireme::data {
namespace {

constexpr uint8_t kBothCases = kCaselessClass | kMarkClass;  // in X and in Y

/// X*Y+ and X+Y* at a place; null: no match.
struct Word {
  const uint8_t* lower_end = nullptr;  // of X*Y+
  const uint8_t* upper_end = nullptr;  // of X+Y*, where X*Y+ does not match
};

/// X* is greedy. Behind it, Y+ finds a small letter; if not, X* gives back characters until Y+ finds one of both cases,
/// the last of the run, and nothing else of Y follows that one.
Word word_at(const ScannedText& text, const uint8_t* begin) {
  Word word;
  const uint8_t* at = begin;
  while (at < text.end()) {
    const Character next = text.read(at);
    if (next.classes == kLowerClass) return {.lower_end = text.lower(at)};
    if ((next.classes & (kUpperClass | kBothCases)) == 0) break;
    at += next.bytes;
    if ((next.classes & kBothCases) != 0) word.lower_end = at;
  }
  if (at > begin) word.upper_end = at;
  return word;
}

/// The first two alternatives at `at`, without their contraction; null: no match. Their first character may be one
/// that belongs to no word; a mark may be that, and may begin the word.
const uint8_t* word_end(const ScannedText& text, const uint8_t* at, Character first) {
  constexpr uint8_t kNoPrefix = kLetterClasses | kNumberClass | kNewlineClass;
  const Word after_prefix = (first.classes & kNoPrefix) == 0 ? word_at(text, at + first.bytes) : Word();
  if (after_prefix.lower_end != nullptr) return after_prefix.lower_end;
  const Word whole = (first.classes & (kLetterClasses | kMarkClass)) != 0 ? word_at(text, at) : Word();
  if (whole.lower_end != nullptr) return whole.lower_end;
  return after_prefix.upper_end != nullptr ? after_prefix.upper_end : whole.upper_end;
}

bool is_upper(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z';
}
bool is_lower(uint8_t byte) {
  return byte >= 'a' && byte <= 'z';
}

const uint8_t* piece_end(const ScannedText& text, const uint8_t* at) {
  if (text.end() - at >= 3) {  // the usual case first: a word of ASCII, capitalised or not, behind a space or not
    const uint8_t* word = at;
    if (*word == ' ') ++word;
    if (is_upper(*word)) ++word;
    if (is_lower(*word)) return text.contraction(text.lower(word), true);
  }
  const Character first = text.read(at);
  if ((first.classes & kNumberClass) != 0) return text.numbers(at, 3);
  if (const uint8_t* end = word_end(text, at, first); end != nullptr) return text.contraction(end, true);
  constexpr uint8_t kNoSymbol = kLetterClasses | kNumberClass | kSpaceClasses;
  const uint8_t* symbol = at + (*at == ' ' ? 1 : 0);
  if ((text.classes(symbol) & kNoSymbol) == 0) return text.any_of("\r\n/", text.run_without(kNoSymbol, symbol));
  const WhiteSpaceRun run = text.white_space(at);
  return run.after_newline != nullptr ? run.after_newline : text.before_last_blank(at, run);
}

class O200kScanner : public Splitter {
 public:
  void split(std::string_view text, std::vector<uint32_t>& ends) const override { scan(text, ends, piece_end); }
  bool has_safe_cuts() const override { return true; }
  std::string unicode_version() const override { return kCharacterUnicodeVersion; }
};

}  // namespace

std::unique_ptr<Splitter> make_o200k_scanner() {
  return std::make_unique<O200kScanner>();
}

}  // namespace trireme::data
