#include "data/piece_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace trireme::data {
namespace {

TEST(PieceCounts, CountsWhatTheSplitterCuts) {
  const auto splitter = make_splitter(kGpt2Pattern);
  PieceCounts counts;
  counts.add_text(*splitter, "a rose is a rose");
  counts.add_text(*splitter, "");
  counts.add_text(*splitter, "a rose");
  EXPECT_EQ(counts.sorted(), (std::vector<PieceCount>{{" a", 1}, {" is", 1}, {" rose", 3}, {"a", 2}}));
}

TEST(PieceCounts, AgreesWithAMap) {
  std::mt19937 random(1);
  std::map<std::string, int64_t> expected;
  std::vector<PieceCounts> parts(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string piece(1 + random() % (i % 100 == 0 ? 3'000'000 / 20'000 * 1'000 : 3), ' ');
    for (char& byte : piece) byte = static_cast<char>(random() % 20 - 10);
    const int64_t count = int64_t{1} << (random() % 40);
    expected[piece] += count;
    parts[random() % parts.size()].add(piece, count);
  }
  PieceCounts counts;
  for (const PieceCounts& part : parts) counts.merge(part);
  EXPECT_EQ(counts.distinct(), static_cast<int64_t>(expected.size()));
  const std::vector<PieceCount> sorted = counts.sorted();
  ASSERT_EQ(sorted.size(), expected.size());
  auto next = expected.begin();
  for (const PieceCount& piece : sorted) {
    EXPECT_EQ(piece.piece, next->first);
    EXPECT_EQ(piece.count, next->second);
    ++next;
  }
}

}  // namespace
}  // namespace trireme::data
