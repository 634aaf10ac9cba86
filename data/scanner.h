// What the scanners of the known patterns (splitter.h) share: a text as characters with classes, runs of them, and the
// parts that the patterns have in common. They cut as the pattern does with a backtracking engine, in one pass.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "data/character_class.h"
#include "data/splitter.h"

namespace trireme::data {

/// GPT-2's pattern.
std::unique_ptr<Splitter> make_gpt2_scanner();

struct Cl100kRules {
  int max_digits = 3;                         ///< N of \p{N}{1,N}
  bool keeps_last_white_space_whole = false;  ///< \s++$ comes before \s*[\r\n]
};
/// The pattern of cl100k and its kin.
std::unique_ptr<Splitter> make_cl100k_scanner(const Cl100kRules& rules);

/// The pattern of o200k.
std::unique_ptr<Splitter> make_o200k_scanner();

/// A run of white space: its end, its last character, and what follows its last '\r' or '\n' (null: it has none).
struct WhiteSpaceRun {
  const uint8_t* end;
  const uint8_t* last;
  const uint8_t* after_newline;
};

class ScannedText {
 public:
  explicit ScannedText(std::string_view text)
      : begin_(reinterpret_cast<const uint8_t*>(text.data())),
        end_(begin_ + text.size()),
        table_(CharacterTable::instance()) {}

  const uint8_t* begin() const { return begin_; }
  const uint8_t* end() const { return end_; }

  /// The character at `at`, which is not the end.
  Character read(const uint8_t* at) const { return table_.read(at, end_); }
  /// The classes of the character at `at`; at the end of the text it counts as white space.
  uint8_t classes(const uint8_t* at) const { return at == end_ ? uint8_t{kBlankClass} : read(at).classes; }

  /// The end of the run of characters at `at` that have a class of `classes`.
  const uint8_t* run_of(uint8_t classes, const uint8_t* at) const {
    while (at < end_) {
      const Character next = read(at);
      if ((next.classes & classes) == 0) break;
      at += next.bytes;
    }
    return at;
  }
  /// The same of characters that have none of `classes`.
  const uint8_t* run_without(uint8_t classes, const uint8_t* at) const {
    while (at < end_) {
      const Character next = read(at);
      if ((next.classes & classes) != 0) break;
      at += next.bytes;
    }
    return at;
  }
  /// \p{L}*
  const uint8_t* letters(const uint8_t* at) const {
    at = skip<0x20>(at);
    return at < end_ && *at < 0x80 && (table_.classes(*at) & kLetterClasses) == 0 ? at : run_of(kLetterClasses, at);
  }
  /// [\p{Ll}\p{Lm}\p{Lo}\p{M}]*
  const uint8_t* lower(const uint8_t* at) const {
    return run_of(kLowerClass | kCaselessClass | kMarkClass, skip<0>(at));
  }
  /// \p{N}{0,limit}
  const uint8_t* numbers(const uint8_t* at, int limit) const {
    for (int count = 0; count < limit && at < end_; ++count) {
      const Character next = read(at);
      if ((next.classes & kNumberClass) == 0) break;
      at += next.bytes;
    }
    return at;
  }
  /// [characters]*, all of them in ASCII.
  const uint8_t* any_of(std::string_view characters, const uint8_t* at) const {
    while (at < end_ && characters.find(static_cast<char>(*at)) != std::string_view::npos) ++at;
    return at;
  }

  /// ('s|'t|'re|'ve|'m|'ll|'d)? With `folds_case` as (?i: ) under Unicode's folding: U+017F is an s.
  const uint8_t* contraction(const uint8_t* at, bool folds_case) const {
    if (end_ - at < 2 || *at != '\'') return at;
    const uint8_t fold = folds_case ? 0x20 : 0;
    const int first = at[1] | fold;
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    if (end_ - at < 3) return at;
    const int second = at[2] | fold;
    if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
    if (first == 'l' && second == 'l') return at + 3;
    if (folds_case && at[1] == 0xC5 && at[2] == 0xBF) return at + 3;
    return at;
  }

  WhiteSpaceRun white_space(const uint8_t* at) const {
    WhiteSpaceRun run = {at, at, nullptr};
    while (run.end < end_) {
      const Character next = read(run.end);
      if ((next.classes & kSpaceClasses) == 0) break;
      run.last = run.end;
      run.end += next.bytes;
      if (next.classes == kNewlineClass) run.after_newline = run.end;
    }
    return run;
  }
  /// \s+(?!\S)|\s+ for the run at `at`: all at the end of the text, else all but the last character, if there are two.
  const uint8_t* before_last_blank(const uint8_t* at, const WhiteSpaceRun& run) const {
    return run.end == end_ || run.last == at ? run.end : run.last;
  }

 private:
  /// Past letters of ASCII at `at`, of both cases (kFold = 0x20) or small ones (0), eight bytes at a time; it may stop
  /// early. A byte b below 0x80 is small when b + 0x1F has its high bit and b + 0x05 has not.
  template <uint64_t kFold>
  const uint8_t* skip(const uint8_t* at) const {
    static_assert(std::endian::native == std::endian::little);
    constexpr uint64_t kOnes = 0x0101010101010101;
    while (end_ - at >= 8) {
      uint64_t bytes;
      std::memcpy(&bytes, at, 8);
      const uint64_t folded = (bytes | kFold * kOnes) & 0x7F * kOnes;
      const uint64_t letters = (folded + 0x1F * kOnes) & ~(folded + 0x05 * kOnes) & ~bytes & 0x80 * kOnes;
      if (letters != 0x80 * kOnes) return at + std::countr_zero(letters ^ 0x80 * kOnes) / 8;
      at += 8;
    }
    return at;
  }

  const uint8_t* begin_;
  const uint8_t* end_;
  const CharacterTable& table_;
};

/// Cuts `text` where `piece_end(scanned text, begin of a piece)` says.
template <typename PieceEnd>
void scan(std::string_view text, std::vector<uint32_t>& ends, PieceEnd piece_end) {
  const ScannedText scanned(text);
  const uint8_t* at = scanned.begin();
  while (at < scanned.end()) {
    at = piece_end(scanned, at);
    ends.push_back(static_cast<uint32_t>(at - scanned.begin()));
  }
}

}  // namespace trireme::data
