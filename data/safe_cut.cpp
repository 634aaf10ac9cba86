#include "data/safe_cut.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>

namespace trireme::data {
namespace {

/// The character that begins at text[at], and that which ends there; negative where there is none or no UTF-8.
UChar32 character_at(std::string_view text, size_t at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  if (at >= text.size()) return -1;
  UChar32 character = 0;
  U8_NEXT(bytes, at, text.size(), character);
  return character;
}

UChar32 character_before(std::string_view text, size_t at) {
  const size_t begin = at - std::min<size_t>(at, 4);  // ICU counts in 32 bits
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data() + begin);
  int32_t end = static_cast<int32_t>(at - begin);
  if (end == 0) return -1;
  UChar32 character = 0;
  U8_PREV(bytes, 0, end, character);
  return character;
}

bool is_letter(UChar32 character) {
  return character >= 0 && (U_GET_GC_MASK(character) & U_GC_L_MASK) != 0;
}

/// Neither white space nor what cleaning may take away, so that white space comes before.
bool is_graphic(UChar32 character) {
  constexpr uint32_t kGraphic = U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK | U_GC_P_MASK | U_GC_S_MASK;
  return character >= 0 && (U_GET_GC_MASK(character) & kGraphic) != 0;
}

}  // namespace

size_t safe_cut(std::string_view text) {
  for (size_t cut = text.size() - (text.empty() ? 0 : 1); cut > 0; --cut) {
    if (text[cut - 1] == '\n' && is_letter(character_at(text, cut)) && is_graphic(character_before(text, cut - 1))) {
      return cut;
    }
    if (text[cut] == ' ' && is_letter(character_before(text, cut)) && is_letter(character_at(text, cut + 1)))
      return cut;
  }
  return 0;
}

}  // namespace trireme::data
