#include "data/document_mask.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme::data {
namespace {

struct Row {
  std::vector<int32_t> positions;
  std::vector<int32_t> first_keys;
  std::vector<int32_t> targets;
};

Row marked(const std::vector<int32_t>& tokens, int32_t end_of_text) {
  Row row{.positions = std::vector<int32_t>(tokens.size(), -7),
          .first_keys = std::vector<int32_t>(tokens.size(), -7),
          .targets = std::vector<int32_t>(tokens.size(), 5)};
  mark_documents(tokens, end_of_text,
                 {.positions = row.positions, .first_keys = row.first_keys, .targets = row.targets});
  return row;
}

using Values = std::vector<int32_t>;

TEST(DocumentMask, PositionsBeginAnewAtEachDocument) {
  const Row row = marked({4, 4, 9, 4, 9, 9, 4, 4}, 9);
  EXPECT_EQ(row.positions, (Values{0, 1, 2, 0, 1, 0, 0, 1}));
  EXPECT_EQ(row.first_keys, (Values{0, 0, 0, 3, 3, 5, 6, 6}));
  EXPECT_EQ(row.targets, (Values{5, 5, -1, 5, -1, -1, 5, 5}));
}

TEST(DocumentMask, OneDocumentIsTheWholeWindow) {
  const Row row = marked({1, 2, 3}, 9);
  EXPECT_EQ(row.positions, (Values{0, 1, 2}));
  EXPECT_EQ(row.first_keys, (Values{0, 0, 0}));
  EXPECT_EQ(row.targets, (Values{5, 5, 5}));
}

TEST(DocumentMask, AWindowThatEndsWithADocumentHasNoTargetThere) {
  EXPECT_EQ(marked({1, 9}, 9).targets, (Values{5, -1}));
  EXPECT_EQ(marked({9}, 9).positions, (Values{0}));
}

}  // namespace
}  // namespace trireme::data
