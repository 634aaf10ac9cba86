#include "data/safe_cut.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trireme::data {
namespace {

TEST(SafeCut, LiesBetweenLinesAndBetweenWordsOfAnyScript) {
  // | marks the place.
  for (const std::string text :
       {"one line.\n|Two", "a| b", "one| two", "line.\n|word", "\u3002\n|\u4E2D", "\u0E27\u0E34\n|\u0E17",
        "\u043C\u0438\u0440| \u0438", "\u00e9| \u00e9", "x,\n|\uAC00"}) {
    std::string whole = text;
    const size_t place = whole.find('|');
    whole.erase(place, 1);
    EXPECT_EQ(safe_cut(whole), place) << text;
  }
}

TEST(SafeCut, IsNotWhereSomethingMayReachAcross) {
  const std::vector<std::string> texts = {
      "",           "a",        " ",      "ab",     "a ",         " b",          "\na",
      "a\n\nb",                  // two line ends before a word are cut apart, at the end of a text they are one piece
      "a \nb",      "a\x01\nb",  // and cleaning takes the control character away
      "a\u00a0\nb", "a\r\nb",    // white space
      "a\n1",       "a\n b",    "a  b",   "a 1",    "1 a",        "a\n\u0301",   "a \u0301b",
      "a\n\xFF",    "\xFF\nb",  "a \xFF", "\xFF b", "a \xE4\xB8", "\u4E2D\u6587"};
  for (const std::string& text : texts) EXPECT_EQ(safe_cut(text), 0u) << testing::PrintToString(text);
}

}  // namespace
}  // namespace trireme::data
