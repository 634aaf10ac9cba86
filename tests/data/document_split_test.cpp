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
  for (const runtime::Hash128& h : hashes) survey.add(4, h);
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
  survey.add(12, hash(kHalf - 1));
  survey.add(4, hash(kHalf));
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
    for (const runtime::Hash128& h : hashes) survey.add(4, h);
    return survey.finish();
  };
  EXPECT_EQ(digest({hash(1), hash(2)}), digest({hash(1), hash(2)}));
  EXPECT_NE(digest({hash(1), hash(2)}), digest({hash(2), hash(1)}));
  EXPECT_NE(digest({hash(1), hash(2)}), digest({hash(1)}));
}

/// The cut of a whole document.
std::optional<int64_t> cut_of(std::string_view document, double fraction) {
  const auto bytes = static_cast<int64_t>(document.size());
  return validation_cut(document, 0, bytes < 2 ? 0 : validation_target(bytes, fraction), bytes);
}

TEST(ValidationCut, LiesBehindTheFirstLineEndAtOrAfterTheFraction) {
  EXPECT_EQ(cut_of("0123\n56\n89", 0.5), 8);  // from byte 5 the next line end is byte 7
  EXPECT_EQ(cut_of("0123\n56\n89", 0.3), 8);  // byte 7 itself is the line end
  EXPECT_EQ(cut_of("0123\n56\n89", 0.2), 8);  // no line end from byte 8: the byte itself
  EXPECT_EQ(cut_of("01234567\n", 0.5), 4);    // the line end would leave nothing
}

TEST(ValidationCut, NeverSplitsACharacter) {
  const std::string text = "aaaa\u20acbb";  // bytes 4, 5, 6 are one character; 9 in all
  EXPECT_EQ(cut_of(text, 4.0 / 9), 7);
  EXPECT_EQ(cut_of(text, 3.0 / 9), 7);
  EXPECT_EQ(cut_of(text, 5.0 / 9), 4);
  EXPECT_EQ(cut_of("a\u20ac", 0.25), 1) << "nothing after the character: before it";
}

TEST(ValidationCut, NeedsTextForBothSides) {
  EXPECT_EQ(cut_of("a", 0.5), std::nullopt);
  EXPECT_EQ(cut_of("\u20ac", 0.5), std::nullopt);
  EXPECT_EQ(cut_of("ab", 0.001), 1);
  EXPECT_EQ(cut_of("ab", 0.999), 1);
}

TEST(ValidationCut, NeedsOnlyAWindowAroundTheTarget) {
  std::string text(5 << 20, 'x');
  for (const size_t line_end : {size_t{1} << 20, (size_t{3} << 20) - 1, (size_t{4} << 20) - 1, size_t{4} << 20}) {
    text[line_end] = '\n';
    const auto bytes = static_cast<int64_t>(text.size());
    const int64_t target = int64_t{3} << 20;
    const size_t begin = static_cast<size_t>(target) - 4;
    const std::string_view window = std::string_view(text).substr(begin, kValidationCutReach + 8);
    const std::optional<int64_t> cut = validation_cut(window, target - 4, target, bytes);
    EXPECT_EQ(cut, validation_cut(text, 0, target, bytes));
    // Line ends before the target and 1 MiB behind it do not count.
    EXPECT_EQ(cut, line_end == (size_t{4} << 20) - 1 ? target + kValidationCutReach : target);
    text[line_end] = 'x';
  }
}

}  // namespace
}  // namespace trireme::data
