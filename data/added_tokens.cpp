#include "data/added_tokens.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

namespace trireme::data {
namespace {

/// \w of Unicode (UTS #18, annex C).
bool is_word(UChar32 character) {
  constexpr uint32_t kMore = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return character >= 0 &&
         (u_hasBinaryProperty(character, UCHAR_ALPHABETIC) != 0 || (U_GET_GC_MASK(character) & kMore) != 0 ||
          u_hasBinaryProperty(character, UCHAR_JOIN_CONTROL) != 0);
}

bool is_space(UChar32 character) {
  return character >= 0 && u_isUWhiteSpace(character) != 0;
}

/// The character before `at`, which moves to its first byte; negative where it is ill-formed.
UChar32 previous_character(std::string_view text, size_t& at) {
  const size_t begin = at - std::min<size_t>(at, U8_MAX_LENGTH);  // ICU counts in 32 bits
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data() + begin);
  auto place = static_cast<int32_t>(at - begin);
  UChar32 character = 0;
  U8_PREV(bytes, 0, place, character);
  at = begin + static_cast<size_t>(place);
  return character;
}

/// The character at `at`, which moves behind it.
UChar32 next_character(std::string_view text, size_t& at) {
  const auto size = static_cast<int32_t>(std::min<size_t>(text.size() - at, U8_MAX_LENGTH));
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data() + at);
  int32_t place = 0;
  UChar32 character = 0;
  U8_NEXT(bytes, place, size, character);
  at += static_cast<size_t>(place);
  return character;
}

bool is_single_word(std::string_view text, size_t begin, size_t end) {
  size_t before = begin;
  size_t after = end;
  return (begin == 0 || !is_word(previous_character(text, before))) &&
         (end == text.size() || !is_word(next_character(text, after)));
}

size_t spaces_begin(std::string_view text, size_t end, size_t limit) {
  while (end > limit) {
    size_t at = end;
    if (!is_space(previous_character(text, at)) || at < limit) break;
    end = at;
  }
  return end;
}

size_t spaces_end(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    size_t at = begin;
    if (!is_space(next_character(text, at))) break;
    begin = at;
  }
  return begin;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::ranges::stable_sort(tokens_, {}, &AddedToken::content);
  for (const AddedToken& token : tokens_) {
    begins_[static_cast<unsigned char>(token.content[0])] = true;
    ordinary_ = ordinary_ || !token.special;
  }
}

const AddedToken* AddedTokenMatcher::longest_at(std::string_view text) const {
  const AddedToken* longest = nullptr;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  // Tokens of [first, last) agree with the text in `length` bytes; the shortest of them comes first.
  for (size_t length = 0; first != last; ++length) {
    for (; first != last && first->content.size() == length; ++first) {  // normal forms may have made two the same
      if (longest == nullptr || longest->content.size() < length) longest = &*first;
    }
    if (length == text.size()) break;
    const auto byte = [length](const AddedToken& token) { return static_cast<unsigned char>(token.content[length]); };
    const auto found = std::ranges::equal_range(first, last, static_cast<unsigned char>(text[length]), {}, byte);
    first = found.begin();
    last = found.end();
  }
  return longest;
}

void AddedTokenMatcher::cut(std::string_view text, SpecialTokens special, std::vector<Stretch>& stretches) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = begins_[static_cast<unsigned char>(text[at])] ? longest_at(text.substr(at)) : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->content.size();
    at = end;
    if (token->special && special == SpecialTokens::as_text) continue;
    if (token->single_word && !is_single_word(text, begin, end)) continue;
    if (token->lstrip) begin = std::max(done, spaces_begin(text, begin, done));
    if (token->rstrip) end = spaces_end(text, end);
    if (done < begin) stretches.push_back({.text = text.substr(done, begin - done)});
    stretches.push_back({.text = text.substr(begin, end - begin), .id = token->id});
    done = end;
  }
  if (done < text.size()) stretches.push_back({.text = text.substr(done)});
}

bool AddedTokenMatcher::has_safe_cuts(SpecialTokens special) const {
  return !is_active(special) || std::ranges::none_of(tokens_, [](const AddedToken& token) {
    return token.lstrip || token.rstrip || token.content.find_first_of(" \n") != std::string::npos;
  });
}

}  // namespace trireme::data
