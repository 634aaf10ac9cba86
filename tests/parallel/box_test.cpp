#include "parallel/box.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

// Where a global place lies in the row-major box, by the definition; nothing when it lies outside.
std::optional<int64_t> flat_index(const Box& box, const std::vector<int64_t>& place) {
  int64_t index = 0;
  for (size_t axis = 0; axis < place.size(); ++axis) {
    if (place[axis] < box.start[axis] || place[axis] >= box.start[axis] + box.size[axis]) return std::nullopt;
    index = index * box.size[axis] + place[axis] - box.start[axis];
  }
  return index;
}

std::vector<int64_t> place_of(int64_t global_index, const std::vector<int64_t>& shape) {
  std::vector<int64_t> place(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    place[axis] = global_index % shape[axis];
    global_index /= shape[axis];
  }
  return place;
}

Box random_box(std::mt19937& random, const std::vector<int64_t>& shape) {
  Box box;
  for (int64_t size : shape) {
    const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % static_cast<uint64_t>(end)); };
    box.start.push_back(random() % 3 == 0 ? 0 : below(size));
    box.size.push_back(random() % 3 == 0 ? size - box.start.back() : 1 + below(size - box.start.back()));
  }
  return box;
}

TEST(CopyRuns, MatchTheDefinitionOfRandomBoxesOfOneToFourAxes) {
  std::mt19937 random(20240607);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int64_t> shape(1 + random() % 4);
    for (int64_t& size : shape) size = 1 + static_cast<int64_t>(random() % 5);
    const Box from = random_box(random, shape);
    const Box to = random_box(random, shape);

    std::vector<std::pair<int64_t, int64_t>> expected;  // (index in from, index in to), in row-major order
    for (int64_t i = 0; i < whole(shape).elements(); ++i) {
      const auto a = flat_index(from, place_of(i, shape));
      const auto b = flat_index(to, place_of(i, shape));
      if (a && b) expected.emplace_back(*a, *b);
    }
    std::vector<std::pair<int64_t, int64_t>> got;
    for (const CopyRun& run : copy_runs(from, to)) {
      for (int64_t i = 0; i < run.elements; ++i) got.emplace_back(run.from_begin + i, run.to_begin + i);
    }
    ASSERT_EQ(got, expected) << to_string(from) << " " << to_string(to);
    const auto common = intersect(from, to);
    ASSERT_EQ(common ? common->elements() : 0, static_cast<int64_t>(expected.size()));
  }
}

TEST(CopyRuns, WholeInnerAxesMakeOneRun) {
  const Box all = whole({6, 4, 5});
  EXPECT_EQ(copy_runs(all, all), (std::vector<CopyRun>{{0, 0, 120}}));
  EXPECT_EQ(copy_runs(all, Box{{2, 0, 0}, {3, 4, 5}}), (std::vector<CopyRun>{{40, 0, 60}}));
  EXPECT_EQ(copy_runs(whole({2, 8}), Box{{0, 4}, {2, 4}}), (std::vector<CopyRun>{{4, 0, 4}, {12, 4, 4}}));
}

TEST(Box, DisjointBoxesHaveNothingInCommon) {
  const Box left{{0, 0}, {2, 3}};
  EXPECT_EQ(intersect(left, Box{{0, 3}, {2, 3}}), std::nullopt);
  EXPECT_EQ(intersect(left, Box{{1, 1}, {5, 5}}), (Box{{1, 1}, {1, 2}}));
  EXPECT_TRUE(copy_runs(left, Box{{2, 0}, {1, 3}}).empty());
  EXPECT_THROW(static_cast<void>(intersect(left, whole({2}))), runtime::Error);
}

TEST(Box, IsPrintedAsRanges) {
  EXPECT_EQ(to_string(Box{{0, 16}, {768, 16}}), "[0:768, 16:32]");
  EXPECT_EQ(whole({3}).elements(), 3);
  EXPECT_EQ(Box{}.elements(), 0);
}

}  // namespace
}  // namespace trireme::parallel
