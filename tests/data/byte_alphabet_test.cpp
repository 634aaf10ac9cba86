#include "data/byte_alphabet.h"

#include <gtest/gtest.h>

namespace trireme::data {
namespace {

TEST(ByteAlphabet, IsThatOfGpt2) {
  EXPECT_EQ(to_printable(" the\n"), "ĠtheĊ");
  EXPECT_EQ(to_printable(std::string("\0", 1)), "Ā");
  EXPECT_EQ(to_printable("\x7f\xa0\xad"), "ġłŃ");
  EXPECT_EQ(to_printable("\xc3\xa9"), "Ã©");
}

TEST(ByteAlphabet, GivesEveryByteBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  EXPECT_EQ(from_printable(to_printable(bytes)), bytes);
}

TEST(ByteAlphabet, RefusesOtherCharactersAndDamagedOnes) {
  for (const char* text : {" ", "a b", "\n", "中", "ń", "\xc4", "\xa0", "\xc0\xa1", "\xe4\xb8"}) {
    EXPECT_EQ(from_printable(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace trireme::data
