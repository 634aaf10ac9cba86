#include "data/utf8.h"

#include <utility>

namespace trireme::data {
namespace {

struct Sequence {
  size_t bytes = 0;  ///< of the character, or of the maximal ill-formed subpart
  bool is_valid = false;
};

/// The sequence that begins at text[at], which is not ASCII: Unicode 15, table 3-7. Only the second byte's range
/// depends on the first; an ill-formed sequence is what came before the first byte that does not fit, at least a byte.
Sequence sequence_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char first = byte(0);
  size_t bytes = 2;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
  } else if (first >= 0xE0 && first <= 0xEF) {
    bytes = 3;
    if (first == 0xE0) low = 0xA0;   // shorter forms exist
    if (first == 0xED) high = 0x9F;  // surrogates
  } else if (first >= 0xF0 && first <= 0xF4) {
    bytes = 4;
    if (first == 0xF0) low = 0x90;   // shorter forms exist
    if (first == 0xF4) high = 0x8F;  // beyond U+10FFFF
  } else {
    return {.bytes = 1};
  }
  const size_t left = text.size() - at;
  if (left < 2 || byte(1) < low || byte(1) > high) return {.bytes = 1};
  for (size_t i = 2; i < bytes; ++i) {
    if (i == left || (byte(i) & 0xC0) != 0x80) return {.bytes = i};
  }
  return {.bytes = bytes, .is_valid = true};
}

}  // namespace

size_t ascii_run(std::string_view text, size_t begin) {
  constexpr size_t kBlock = 32;  // the inner loop becomes a few vector instructions
  size_t at = begin;
  for (; at + kBlock <= text.size(); at += kBlock) {
    signed char bits = 0;
    for (size_t i = 0; i < kBlock; ++i) bits |= static_cast<signed char>(text[at + i]);
    if (bits < 0) break;
  }
  while (at < text.size() && static_cast<signed char>(text[at]) >= 0) ++at;
  return at - begin;
}

size_t find_invalid_utf8(std::string_view text, size_t begin) {
  size_t at = begin;
  while (at < text.size()) {
    if (static_cast<signed char>(text[at]) >= 0) {
      at += ascii_run(text, at);
      continue;
    }
    const Sequence sequence = sequence_at(text, at);
    if (!sequence.is_valid) return at;
    at += sequence.bytes;
  }
  return text.size();
}

int64_t repair_utf8(std::string& text) {
  size_t bad = find_invalid_utf8(text);
  if (bad == text.size()) return 0;
  std::string repaired;
  repaired.reserve(text.size() + text.size() / 8);
  int64_t places = 0;
  size_t begin = 0;
  while (bad < text.size()) {
    repaired.append(text, begin, bad - begin).append(kReplacementCharacter);
    ++places;
    begin = bad + sequence_at(text, bad).bytes;
    bad = find_invalid_utf8(text, begin);
  }
  repaired.append(text, begin);
  text = std::move(repaired);
  return places;
}

void append_utf8(std::string& text, char32_t character) {
  const auto continuation = [&](int shift) { text.push_back(static_cast<char>(0x80 | ((character >> shift) & 0x3F))); };
  if (character < 0x80) {
    text.push_back(static_cast<char>(character));
  } else if (character < 0x800) {
    text.push_back(static_cast<char>(0xC0 | (character >> 6)));
    continuation(0);
  } else if (character < 0x10000) {
    text.push_back(static_cast<char>(0xE0 | (character >> 12)));
    continuation(6);
    continuation(0);
  } else {
    text.push_back(static_cast<char>(0xF0 | (character >> 18)));
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

}  // namespace trireme::data
