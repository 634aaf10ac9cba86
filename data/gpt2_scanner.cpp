// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#include "data/scanner.h"

namespace trireme::data {
namespace {

const uint8_t* piece_end(const ScannedText& text, const uint8_t* at) {
  const uint8_t* after_contraction = text.contraction(at, false);
  if (after_contraction != at) return after_contraction;
  const uint8_t* word = at;
  if (*at == ' ') ++word;  // a branch, so that the next loads need not wait for it
  const uint8_t classes = text.classes(word);
  if ((classes & kLetterClasses) != 0) return text.letters(word);
  if ((classes & kNumberClass) != 0) return text.run_of(kNumberClass, word);
  if ((classes & kSpaceClasses) == 0) return text.run_without(kLetterClasses | kNumberClass | kSpaceClasses, word);
  return text.before_last_blank(at, text.white_space(at));
}

class Gpt2Scanner : public Splitter {
 public:
  void split(std::string_view text, std::vector<uint32_t>& ends) const override { scan(text, ends, piece_end); }
  bool has_safe_cuts() const override { return true; }
  std::string unicode_version() const override { return kCharacterUnicodeVersion; }
};

}  // namespace

std::unique_ptr<Splitter> make_gpt2_scanner() {
  return std::make_unique<Gpt2Scanner>();
}

}  // namespace trireme::data
