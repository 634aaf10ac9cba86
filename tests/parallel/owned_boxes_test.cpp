#include "parallel/owned_boxes.h"

#include <gtest/gtest.h>

#include <random>

namespace trireme::parallel {
namespace {

/// The elements of `box` that `part` holds, by their numbers in the row-major box, in the row-major order of `part`.
std::vector<int64_t> numbers_of(const Box& part, const Box& box) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < part.elements(); ++i) {
    int64_t rest = i;
    int64_t number = 0;
    int64_t stride = 1;
    for (size_t axis = box.size.size(); axis-- > 0;) {
      const int64_t place = part.start[axis] + rest % part.size[axis];
      EXPECT_TRUE(place >= box.start[axis] && place < box.start[axis] + box.size[axis]);
      number += (place - box.start[axis]) * stride;
      stride *= box.size[axis];
      rest /= part.size[axis];
    }
    numbers.push_back(number);
  }
  return numbers;
}

TEST(OwnedBoxes, HoldTheRangeInOrderForRandomBoxesOfOneToFourAxes) {
  std::mt19937 random(20240712);
  const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % static_cast<uint64_t>(end)); };
  for (int round = 0; round < 4000; ++round) {
    Box box;
    for (int64_t axes = 1 + below(4); axes > 0; --axes) {
      box.start.push_back(below(6));
      box.size.push_back(1 + below(6));
    }
    const int64_t begin = below(box.elements() + 1);
    const int64_t end = begin + below(box.elements() - begin + 1);
    int64_t next = begin;
    const std::vector<OwnedBox> parts = owned_boxes(box, {.begin = begin, .end = end});
    for (const OwnedBox& part : parts) {
      ASSERT_EQ(part.offset, next) << to_string(box);
      for (int64_t number : numbers_of(part.box, box)) ASSERT_EQ(number, next++) << to_string(part.box);
    }
    ASSERT_EQ(next, end) << to_string(box);
    ASSERT_LE(parts.size(), 2 * box.size.size() - 1) << to_string(box);
  }
}

TEST(OwnedBoxes, AMatrixIsCutIntoThreeAtMost) {
  const Box matrix{{10, 20}, {5, 4}};
  EXPECT_EQ(owned_boxes(matrix, {.begin = 3, .end = 18}),
            (std::vector<OwnedBox>{{{{10, 23}, {1, 1}}, 3}, {{{11, 20}, {3, 4}}, 4}, {{{14, 20}, {1, 2}}, 16}}));
  EXPECT_EQ(owned_boxes(matrix, {.begin = 0, .end = 20}), (std::vector<OwnedBox>{{matrix, 0}}));
  EXPECT_EQ(owned_boxes(matrix, {.begin = 5, .end = 7}), (std::vector<OwnedBox>{{{{11, 21}, {1, 2}}, 5}}));
  EXPECT_EQ(owned_boxes(matrix, {.begin = 2, .end = 6}),
            (std::vector<OwnedBox>{{{{10, 22}, {1, 2}}, 2}, {{{11, 20}, {1, 2}}, 4}}));
}

TEST(OwnedBoxes, WhatLiesBeyondTheBoxIsIgnored) {
  EXPECT_EQ(owned_boxes(whole({7}), {.begin = -5, .end = 9}), (std::vector<OwnedBox>{{whole({7}), 0}}));
  EXPECT_TRUE(owned_boxes(whole({7}), {.begin = 7, .end = 64}).empty());
  EXPECT_TRUE(owned_boxes(whole({7}), {.begin = -64, .end = 0}).empty());
  EXPECT_TRUE(owned_boxes(Box{{3, 0}, {0, 8}}, {.begin = 0, .end = 64}).empty()) << "no rows of the vocabulary left";
}

}  // namespace
}  // namespace trireme::parallel
