// UTF-8 (RFC 3629): where it is ill-formed, and the repair of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::data {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  ///< U+FFFD

/// How many bytes of `text` from `begin` on are ASCII.
size_t ascii_run(std::string_view text, size_t begin);

/// Where the first ill-formed bytes at or after `begin` (the beginning of a character) lie; text.size() when there are
/// none.
size_t find_invalid_utf8(std::string_view text, size_t begin = 0);

/// Puts U+FFFD in the place of each maximal ill-formed subpart (Unicode 15, section 3.9, "U+FFFD Substitution of
/// Maximal Subparts"; WHATWG's decoder and Python's errors="replace" do the same) and gives how many there were. Text
/// that is well-formed is not touched.
int64_t repair_utf8(std::string& text);

/// Appends the character's UTF-8; a surrogate gives three bytes that UTF-8 forbids (WTF-8's).
void append_utf8(std::string& text, char32_t character);

}  // namespace trireme::data
