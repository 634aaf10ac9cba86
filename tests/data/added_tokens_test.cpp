#include "data/added_tokens.h"

#include <gtest/gtest.h>

namespace trireme::data {
namespace {

/// "text|<7>token|..." of the stretches.
std::string cut(std::vector<AddedToken> tokens, std::string_view text, SpecialTokens special = SpecialTokens::known) {
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i].id = static_cast<int32_t>(i);
  std::vector<Stretch> stretches;
  AddedTokenMatcher(tokens).cut(text, special, stretches);
  std::string result;
  for (const Stretch& stretch : stretches) {
    if (!result.empty()) result += '|';
    if (stretch.id >= 0) result += '<' + std::to_string(stretch.id) + '>';
    result += stretch.text;
  }
  return result;
}

TEST(AddedTokens, AreLeftmostThenLongest) {
  const std::vector<AddedToken> tokens = {{.content = "ab"}, {.content = "abcd"}, {.content = "bc"}, {.content = "d"}};
  EXPECT_EQ(cut(tokens, "abc"), "<0>ab|c");
  EXPECT_EQ(cut(tokens, "xabcdx"), "x|<1>abcd|x");
  EXPECT_EQ(cut(tokens, "bcdab"), "<2>bc|<3>d|<0>ab");
  EXPECT_EQ(cut(tokens, ""), "");
  EXPECT_EQ(cut({}, "abc"), "abc");
}

TEST(AddedTokens, SpecialOnesAreTextUnlessKnown) {
  const std::vector<AddedToken> tokens = {{.content = "<end>"}, {.content = "end", .special = false}};
  EXPECT_EQ(cut(tokens, "a<end>b end"), "a|<0><end>|b |<1>end");
  EXPECT_EQ(cut(tokens, "a<end>b end", SpecialTokens::as_text), "a<end>b |<1>end") << "not looked into";
  EXPECT_FALSE(AddedTokenMatcher({tokens[0]}).is_active(SpecialTokens::as_text));
  EXPECT_TRUE(AddedTokenMatcher(tokens).is_active(SpecialTokens::as_text));
}

TEST(AddedTokens, SingleWordsStandAlone) {
  const std::vector<AddedToken> tokens = {{.content = "is", .single_word = true}};
  EXPECT_EQ(cut(tokens, "this is it"), "this |<0>is| it");
  EXPECT_EQ(cut(tokens, "is"), "<0>is");
  EXPECT_EQ(cut(tokens, "is_ (is) éis isé 5is"), "is_ (|<0>is|) éis isé 5is");
}

TEST(AddedTokens, EatTheSpacesThatTheyAskFor) {
  EXPECT_EQ(cut({{.content = "<m>", .lstrip = true}}, "a \n\u3000<m> b"), "a|<0> \n\u3000<m>| b");
  EXPECT_EQ(cut({{.content = "<m>", .rstrip = true}}, "a <m> \t\u00a0b"), "a |<0><m> \t\u00a0|b");
  EXPECT_EQ(cut({{.content = "<m>", .lstrip = true, .rstrip = true}}, " <m> <m> "), "<0> <m> |<0><m> ");
}

TEST(AddedTokens, IllFormedBytesAreNeitherWordsNorSpaces) {
  EXPECT_EQ(cut({{.content = "is", .single_word = true}}, "\xffis\xff"), "\xff|<0>is|\xff");
  EXPECT_EQ(cut({{.content = "is", .lstrip = true, .rstrip = true}}, "\xc2is\xc2"), "\xc2|<0>is|\xc2");
}

TEST(AddedTokens, SaysWhereCutsAreSafe) {
  const auto is_safe = [](const AddedToken& token, SpecialTokens special = SpecialTokens::known) {
    return AddedTokenMatcher({token}).has_safe_cuts(special);
  };
  EXPECT_TRUE(is_safe({.content = "<end>"}));
  EXPECT_FALSE(is_safe({.content = "a b"}));
  EXPECT_FALSE(is_safe({.content = "\nb"}));
  EXPECT_FALSE(is_safe({.content = "<m>", .lstrip = true}));
  EXPECT_TRUE(is_safe({.content = "<m>", .lstrip = true}, SpecialTokens::as_text)) << "it is not looked for";
}

}  // namespace
}  // namespace trireme::data
