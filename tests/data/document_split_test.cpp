#include "data/document_split.h"

#include <gtest/gtest.h>

namespace trireme::data {
namespace {

constexpr uint64_t kHalf = uint64_t{1} << 63;

runtime::Hash128 hash(uint64_t high, uint64_t low = 0) {
  return {.low = low, .high = high};
}

std::vector<bool> split_of(double fraction, const std::vector<runtime::Hash128>& hashes) {
  CorpusSurvey survey;
  for (const runtime::Hash128& h : hashes) survey.add("text", h);
  const DocumentSplit split(fraction, survey);
  std::vector<bool> is_validation;
  for (size_t i = 0; i < hashes.size(); ++i) {
    is_validation.push_back(split.is_validation(hashes[i], static_cast<int64_t>(i)));
  }
  return is_validation;
}

TEST(DocumentSplit, ComparesTheHashWithTheFractionOfItsRange) {
  EXPECT_EQ(split_of(0.5, {hash(0), hash(kHalf - 1), hash(kHalf), hash(~uint64_t{0})}),
            (std::vector{true, true, false, false}));
  EXPECT_EQ(split_of(0.25, {hash(kHalf / 2 - 1), hash(kHalf / 2), hash(kHalf)}), (std::vector{true, false, false}));
  EXPECT_EQ(split_of(0, {hash(0), hash(1)}), (std::vector{false, false}));
}

TEST(DocumentSplit, NeitherSideStaysEmptyWithTwoDocuments) {
  EXPECT_EQ(split_of(0.1, {hash(kHalf), hash(kHalf - 1), hash(kHalf - 1)}), (std::vector{false, true, false}));
  EXPECT_EQ(split_of(0.9, {hash(1, 5), hash(1, 6), hash(1, 6)}), (std::vector{true, false, true}));
}

TEST(DocumentSplit, TheForcedDocumentIsTheOneThatMovesTheLeastText) {
  CorpusSurvey survey;
  survey.add("a whole book", hash(kHalf - 1));
  survey.add("note", hash(kHalf));
  const DocumentSplit few(0.1, survey);
  EXPECT_FALSE(few.is_validation(hash(kHalf - 1), 0));
  EXPECT_TRUE(few.is_validation(hash(kHalf), 1));
  const DocumentSplit most(0.9, survey);
  EXPECT_FALSE(most.is_validation(hash(kHalf - 1), 0));
  EXPECT_TRUE(most.is_validation(hash(kHalf), 1));
}

TEST(CorpusSurvey, DigestKnowsContentAndOrder) {
  const auto digest = [](const std::vector<runtime::Hash128>& hashes) {
    CorpusSurvey survey;
    for (const runtime::Hash128& h : hashes) survey.add("text", h);
    return survey.finish();
  };
  EXPECT_EQ(digest({hash(1), hash(2)}), digest({hash(1), hash(2)}));
  EXPECT_NE(digest({hash(1), hash(2)}), digest({hash(2), hash(1)}));
  EXPECT_NE(digest({hash(1), hash(2)}), digest({hash(1)}));
}

TEST(ValidationCut, LiesBehindTheFirstLineEndAtOrAfterTheFraction) {
  EXPECT_EQ(validation_cut("0123\n56\n89", 0.5), 8u);  // from byte 5 the next line end is byte 7
  EXPECT_EQ(validation_cut("0123\n56\n89", 0.3), 8u);  // byte 7 itself is the line end
  EXPECT_EQ(validation_cut("0123\n56\n89", 0.2), 8u);  // no line end from byte 8: the byte itself
  EXPECT_EQ(validation_cut("01234567\n", 0.5), 4u);    // the line end would leave nothing
}

TEST(ValidationCut, NeverSplitsACharacter) {
  const std::string text = "aaaa\u20acbb";  // bytes 4, 5, 6 are one character; 9 in all
  EXPECT_EQ(validation_cut(text, 4.0 / 9), 7u);
  EXPECT_EQ(validation_cut(text, 3.0 / 9), 7u);
  EXPECT_EQ(validation_cut(text, 5.0 / 9), 4u);
  EXPECT_EQ(validation_cut("a\u20ac", 0.25), 1u) << "nothing after the character: before it";
}

TEST(ValidationCut, NeedsTextForBothSides) {
  EXPECT_EQ(validation_cut("a", 0.5), std::nullopt);
  EXPECT_EQ(validation_cut("\u20ac", 0.5), std::nullopt);
  EXPECT_EQ(validation_cut("ab", 0.001), 1u);
  EXPECT_EQ(validation_cut("ab", 0.999), 1u);
}

}  // namespace
}  // namespace trireme::data
