// What the splitters' patterns ask of a character: which of a few classes it has in Unicode 16.0, that of Hugging Face
// tokenizers 0.23 and tiktoken 0.14, whatever ICU's own version (72 or later). The table is made once; reading it
// decodes UTF-8 on the way, and takes every byte that is not part of well-formed UTF-8 for a character of its own
// without any class.
#pragma once

#include <cstdint>
#include <memory>

namespace trireme::data {

/// Of the table.
inline constexpr char kCharacterUnicodeVersion[] = "16.0";

/// Bits; a character has at most one.
enum CharacterClass : uint8_t {
  kOtherClass = 0,     ///< what follows is none of: punctuation, symbols, controls, format characters, unassigned
  kUpperClass = 1,     ///< Lu, Lt
  kLowerClass = 2,     ///< Ll
  kCaselessClass = 4,  ///< Lm, Lo
  kMarkClass = 8,      ///< Mn, Mc, Me
  kNumberClass = 16,   ///< Nd, Nl, No
  kBlankClass = 32,    ///< White_Space without the two below
  kNewlineClass = 64,  ///< carriage return, line feed
};
inline constexpr uint8_t kLetterClasses = kUpperClass | kLowerClass | kCaselessClass;  ///< \p{L}
inline constexpr uint8_t kSpaceClasses = kBlankClass | kNewlineClass;                  ///< \s

struct Character {
  uint8_t classes;  ///< its CharacterClass
  uint8_t bytes;    ///< of UTF-8
};

class CharacterTable {
 public:
  /// The only one; made at the first call.
  static const CharacterTable& instance();

  uint8_t classes(char32_t code_point) const { return classes_[code_point]; }

  /// The character that begins at `at`, which is before `end`.
  Character read(const uint8_t* at, const uint8_t* end) const {
    const uint32_t lead = *at;
    if (lead < 0x80) return {classes_[lead], 1};
    const int64_t left = end - at;
    // A continuation byte xor 0x80 is below 0x40.
    if (lead >= 0xE0 && lead < 0xF0 && left >= 3) {
      const uint32_t second = at[1] ^ 0x80U;
      const uint32_t third = at[2] ^ 0x80U;
      const uint32_t code_point = (lead & 0xFU) << 12 | second << 6 | third;
      const bool is_surrogate = (code_point & 0x1F800U) == 0xD800;
      if ((second | third) < 0x40 && code_point >= 0x800 && !is_surrogate) return {classes_[code_point], 3};
    } else if (lead >= 0xC2 && lead < 0xE0 && left >= 2) {
      const uint32_t second = at[1] ^ 0x80U;
      if (second < 0x40) return {classes_[(lead & 0x1FU) << 6 | second], 2};
    } else if (lead >= 0xF0 && lead < 0xF5 && left >= 4) {
      const uint32_t second = at[1] ^ 0x80U;
      const uint32_t third = at[2] ^ 0x80U;
      const uint32_t fourth = at[3] ^ 0x80U;
      const uint32_t code_point = (lead & 0x7U) << 18 | second << 12 | third << 6 | fourth;
      if ((second | third | fourth) < 0x40 && code_point >= 0x10000 && code_point < kCodePoints) {
        return {classes_[code_point], 4};
      }
    }
    return {kOtherClass, 1};
  }

 private:
  static constexpr uint32_t kCodePoints = 0x110000;

  CharacterTable();

  // One level, 1.1 MB: text of one script touches a few lines of it, and a second level would be a second load.
  std::unique_ptr<uint8_t[]> classes_;
};

}  // namespace trireme::data
