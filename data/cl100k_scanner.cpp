// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
#include "data/scanner.h"

namespace trireme::data {
namespace {

const uint8_t* piece_end(const Cl100kRules& rules, const ScannedText& text, const uint8_t* at) {
  if (*at == ' ' && (text.classes(at + 1) & kLetterClasses) != 0) return text.letters(at + 1);  // the usual case first
  const uint8_t* after_contraction = text.contraction(at, true);
  if (after_contraction != at) return after_contraction;
  const Character first = text.read(at);
  if ((first.classes & kLetterClasses) != 0) return text.letters(at);
  if ((first.classes & kNumberClass) != 0) return text.numbers(at, rules.max_digits);
  const uint8_t* second = at + first.bytes;
  const uint8_t second_classes = text.classes(second);
  if (first.classes != kNewlineClass && (second_classes & kLetterClasses) != 0) return text.letters(second);
  constexpr uint8_t kNoSymbol = kLetterClasses | kNumberClass | kSpaceClasses;
  if ((first.classes & kNoSymbol) == 0 || (*at == ' ' && (second_classes & kNoSymbol) == 0)) {
    return text.any_of("\r\n", text.run_without(kNoSymbol, second));
  }
  const WhiteSpaceRun run = text.white_space(at);
  if (rules.keeps_last_white_space_whole && run.end == text.end()) return run.end;
  return run.after_newline != nullptr ? run.after_newline : text.before_last_blank(at, run);
}

class Cl100kScanner : public Splitter {
 public:
  explicit Cl100kScanner(const Cl100kRules& rules) : rules_(rules) {}
  void split(std::string_view text, std::vector<uint32_t>& ends) const override {
    scan(text, ends, [this](const ScannedText& scanned, const uint8_t* at) { return piece_end(rules_, scanned, at); });
  }
  bool has_safe_cuts() const override { return true; }
  std::string unicode_version() const override { return kCharacterUnicodeVersion; }

 private:
  Cl100kRules rules_;
};

}  // namespace

std::unique_ptr<Splitter> make_cl100k_scanner(const Cl100kRules& rules) {
  return std::make_unique<Cl100kScanner>(rules);
}

}  // namespace trireme::data
