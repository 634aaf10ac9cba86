#include "data/splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

std::vector<std::string> pieces(const Splitter& splitter, std::string_view text) {
  std::vector<uint32_t> ends;
  splitter.split(text, ends);
  std::vector<std::string> parts;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return parts;
}

using Pieces = std::vector<std::string>;

TEST(Splitter, KnowsThePatternsThatHaveScanners) {
  for (const char* pattern : {kGpt2Pattern, kCl100kPattern, kTiktokenCl100kPattern, kO200kPattern}) {
    EXPECT_TRUE(is_known_pattern(pattern));
    EXPECT_TRUE(make_splitter(pattern)->has_safe_cuts());
  }
  EXPECT_FALSE(is_known_pattern("a+"));
  EXPECT_FALSE(make_splitter("a+")->has_safe_cuts());
}

TEST(Pcre2Splitter, CutsAsGpt2Does) {
  const auto splitter = make_pcre2_splitter(kGpt2Pattern);
  EXPECT_EQ(pieces(*splitter, "We'll go  home,\n\nit's 1234!"),
            (Pieces{"We", "'ll", " go", " ", " home", ",", "\n", "\n", "it", "'s", " 1234", "!"}));
}

TEST(Pcre2Splitter, KeepsWhatThePatternDoesNotMatch) {
  EXPECT_EQ(pieces(*make_pcre2_splitter("[0-9]"), "ab12c"), (Pieces{"ab", "1", "2", "c"}));
  EXPECT_EQ(pieces(*make_pcre2_splitter("x*"), "axxb"), (Pieces{"a", "xx", "b"}));
}

TEST(Pcre2Splitter, KeepsBytesThatAreNoText) {
  const auto splitter = make_pcre2_splitter(kGpt2Pattern);
  std::string joined;
  for (const std::string& piece : pieces(*splitter, "a\xff\xc3 b\xe2\x82")) joined += piece;
  EXPECT_EQ(joined, "a\xff\xc3 b\xe2\x82");
}

TEST(Pcre2Splitter, MatchesBeyondTheStackOfCompiledCode) {
  const std::string letters(100'000, 'a');
  EXPECT_EQ(pieces(*make_pcre2_splitter(R"((?:\p{L}|\p{N})+)"), letters + " b\xff" + letters),
            (Pieces{letters, " ", "b", "\xff", letters}));
}

TEST(Pcre2Splitter, NamesAPatternThatIsNone) {
  expect_contains(error_of(runtime::ErrorKind::data, [] { make_pcre2_splitter("(a"); }), {"(a", "character 2"});
}

}  // namespace
}  // namespace trireme::data
