// The printable alphabet of byte-level BPE files (GPT-2's encoder.py, bytes_to_unicode): each byte as one character
// that needs no escape, so that tokens which are not UTF-8 can stand in JSON and in lists of merges.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trireme::data {

/// 188 printable bytes stand for themselves (in Latin-1), the n-th of the other 68 is U+0100 + n. UTF-8.
std::string to_printable(std::string_view bytes);

/// Nothing when a character is not of the alphabet.
std::optional<std::string> from_printable(std::string_view printable);

}  // namespace trireme::data
