// Finds added tokens in text as Hugging Face's tokenizers do: leftmost, of those the longest, and never overlapping. It
// knows neither pieces nor merges.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"
#include "data/tokenizer_parts.h"

namespace trireme::data {

/// A stretch of text that is an added token, or one between them.
struct Stretch {
  std::string_view text;
  int32_t id = -1;  ///< -1: text
};

class AddedTokenMatcher {
 public:
  /// Their contents as they stand in the text that is searched; none empty.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  /// Whether any text can hold a match.
  bool is_active(SpecialTokens special) const { return special == SpecialTokens::known ? !tokens_.empty() : ordinary_; }

  /// Appends the stretches of `text`. Where a token is not taken (a special one that is `as_text`, one that ought to be
  /// a word of its own), the search goes on behind it. Spaces that lstrip and rstrip eat belong to the token's stretch.
  void cut(std::string_view text, SpecialTokens special, std::vector<Stretch>& stretches) const;

  /// Whether it finds the same when a text is cut where safe_cut says.
  bool has_safe_cuts(SpecialTokens special) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  std::array<bool, 256> begins_ = {};
  bool ordinary_ = false;  // whether one is not special
};

}  // namespace trireme::data
