#include "data/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace trireme::data {
namespace {

constexpr uint32_t kCharacters = 0x100 + 68;

bool is_printable(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Alphabet {
  std::array<uint16_t, 256> character = {};
  std::array<int16_t, kCharacters> byte = {};  // -1: not of the alphabet
};

Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  uint16_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint16_t character = is_printable(byte) ? static_cast<uint16_t>(byte) : next++;
    alphabet.character[byte] = character;
    alphabet.byte[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

const Alphabet& alphabet() {
  static const Alphabet instance = make_alphabet();
  return instance;
}

}  // namespace

std::string to_printable(std::string_view bytes) {
  std::string printable;
  for (const char byte : bytes) {
    const uint16_t character = alphabet().character[static_cast<unsigned char>(byte)];
    if (character < 0x80) {
      printable += static_cast<char>(character);
    } else {
      printable += static_cast<char>(0xC0 | (character >> 6));
      printable += static_cast<char>(0x80 | (character & 0x3F));
    }
  }
  return printable;
}

std::optional<std::string> from_printable(std::string_view printable) {
  std::string bytes;
  for (size_t i = 0; i < printable.size(); ++i) {
    uint32_t character = static_cast<unsigned char>(printable[i]);
    if (character >= 0x80) {
      const uint32_t second = i + 1 < printable.size() ? static_cast<unsigned char>(printable[++i]) : 0;
      if (character < 0xC2 || character > 0xDF || (second & 0xC0) != 0x80) return {};
      character = ((character & 0x1F) << 6) | (second & 0x3F);
    }
    if (character >= kCharacters || alphabet().byte[character] < 0) return {};
    bytes += static_cast<char>(alphabet().byte[character]);
  }
  return bytes;
}

}  // namespace trireme::data
