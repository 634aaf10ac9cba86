#include "data/utf8.h"

#include <gtest/gtest.h>

#include <unicode/utf8.h>

#include <array>
#include <random>
#include <string>

namespace trireme::data {
namespace {

std::string repaired(std::string text) {
  repair_utf8(text);
  return text;
}

/// What ICU makes of `text`: its U8_NEXT takes a maximal ill-formed subpart at a time.
std::string repaired_by_icu(std::string_view text, int64_t& places) {
  std::string result;
  places = 0;
  for (int32_t at = 0; at < static_cast<int32_t>(text.size());) {
    const int32_t begin = at;
    UChar32 character = 0;
    U8_NEXT(text.data(), at, static_cast<int32_t>(text.size()), character);
    places += character < 0 ? 1 : 0;
    result += character < 0 ? kReplacementCharacter : text.substr(begin, at - begin);
  }
  return result;
}

void expect_as_icu(const std::string& text) {
  int64_t expected_places = 0;
  const std::string expected = repaired_by_icu(text, expected_places);
  std::string result = text;
  ASSERT_EQ(repair_utf8(result), expected_places) << testing::PrintToString(text);
  ASSERT_EQ(result, expected) << testing::PrintToString(text);
  ASSERT_EQ(find_invalid_utf8(text) == text.size(), expected_places == 0) << testing::PrintToString(text);
  ASSERT_EQ(find_invalid_utf8(result), result.size());
}

TEST(Utf8, WellFormedTextIsLeftAlone) {
  for (const std::string text :
       {"", "ASCII", "\x7F", "\u0080", "\u07FF", "\u0800", "\uD7FF", "\uE000", "\uFFFD", "\uFFFF", "\U00010000",
        "\U0010FFFF", "\u65E5\u672C\u8A9E text \U0001F469\u200D\U0001F52C"}) {
    EXPECT_EQ(find_invalid_utf8(text), text.size()) << text;
    EXPECT_EQ(repaired(text), text);
  }
  const std::string with_nul("a\0b", 3);
  EXPECT_EQ(repaired(with_nul), with_nul);
}

TEST(Utf8, RepairsTheStandardsExamples) {
  // The Unicode Standard 15.0, section 3.9, tables 3-8 to 3-11; R is U+FFFD.
  const std::string R(kReplacementCharacter);
  EXPECT_EQ(repaired("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                     "A"),
            R + R + R + R + R + R + R + R + "A");  // non-shortest forms
  EXPECT_EQ(repaired("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                     "A"),
            R + R + R + R + R + R + R + R + "A");  // surrogates
  EXPECT_EQ(repaired("\xF4\x91\x92\x93\xFF"
                     "A\x80\xBF"
                     "B"),
            R + R + R + R + R + "A" + R + R + "B");  // others
  EXPECT_EQ(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                     "A"),
            R + R + R + R + "A");  // truncated ones
  EXPECT_EQ(repaired("\xE1\x80"), R) << "cut at the end";
  EXPECT_EQ(repaired("\xF0\x9F\x98"), R);
}

TEST(Utf8, FindsTheFirstPlace) {
  EXPECT_EQ(find_invalid_utf8("\xC3\xA9\xC3"), 2u);
  EXPECT_EQ(find_invalid_utf8("\xC3\xA9\xC3", 2), 2u);
  for (size_t at = 0; at < 200; ++at) {  // every place within blocks of ASCII
    std::string text(200, 'a');
    text[at] = '\xFF';
    EXPECT_EQ(find_invalid_utf8(text), at);
    EXPECT_EQ(ascii_run(text, 0), at);
    EXPECT_EQ(ascii_run(text, std::min<size_t>(at, 5)), at - std::min<size_t>(at, 5));
  }
  EXPECT_EQ(ascii_run("", 0), 0u);
}

TEST(Utf8, AgreesWithIcuOnAllSequencesOfBoundaryBytes) {
  // The bytes at which table 3-7 changes its mind.
  constexpr std::array<unsigned char, 22> kBytes = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1,
                                                    0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
  std::string text(4, '\0');
  for (const unsigned char a : kBytes) {
    for (const unsigned char b : kBytes) {
      for (const unsigned char c : kBytes) {
        for (const unsigned char d : kBytes) {
          text.assign({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)});
          ASSERT_NO_FATAL_FAILURE(expect_as_icu(text));
        }
      }
    }
  }
}

TEST(Utf8, AgreesWithIcuOnRandomBytes) {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 300, '\0');
    // Mostly text with some damage, sometimes noise.
    for (char& byte : text)
      byte = static_cast<char>(random() % 8 == 0 || round % 5 == 0 ? random() : 'a' + random() % 26);
    for (int i = 0; i < 10; ++i) append_utf8(text, random() % 0xD800);
    if (round % 2 == 0) text.erase(random() % text.size(), 1);
    ASSERT_NO_FATAL_FAILURE(expect_as_icu(text));
  }
}

TEST(Utf8, AppendsEveryCharacterAsIcuDoes) {
  for (char32_t character = 0; character < 0x110000; ++character) {
    std::string text;
    append_utf8(text, character);
    std::array<uint8_t, 4> expected;
    size_t count = 0;
    U8_APPEND_UNSAFE(expected.data(), count, character);
    ASSERT_EQ(text, std::string(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(count)));
    const bool is_surrogate = character >= 0xD800 && character < 0xE000;
    ASSERT_EQ(find_invalid_utf8(text) == text.size(), !is_surrogate) << static_cast<uint32_t>(character);
  }
}

}  // namespace
}  // namespace trireme::data
