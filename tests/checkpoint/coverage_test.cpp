#include "checkpoint/coverage.h"

#include <gtest/gtest.h>

namespace trireme::checkpoint {
namespace {

using Problems = std::vector<std::string>;

Manifest with_boxes(const std::vector<parallel::Box>& boxes) {
  Manifest manifest;
  manifest.tensors = {{"w", "parameter", runtime::DType::fp32, {4, 6}}};
  for (const parallel::Box& box : boxes) {
    manifest.slices.push_back({"w", "parameter", box, "f", "/d", 0, box.elements() * 4, 0});
  }
  return manifest;
}

TEST(Coverage, ExactCoversHaveNoProblem) {
  EXPECT_EQ(coverage_problems(with_boxes({{{0, 0}, {4, 6}}})), Problems{});
  EXPECT_EQ(coverage_problems(with_boxes({{{2, 3}, {2, 3}}, {{0, 0}, {2, 6}}, {{2, 0}, {2, 3}}})), Problems{});
}

TEST(Coverage, HolesAreCounted) {
  EXPECT_EQ(coverage_problems(with_boxes({})), Problems{"parameter of w: 24 of 24 elements are in no slice"});
  EXPECT_EQ(coverage_problems(with_boxes({{{0, 0}, {2, 6}}, {{2, 0}, {2, 5}}})),
            Problems{"parameter of w: 2 of 24 elements are in no slice"});
}

TEST(Coverage, OverlapsAreNamedEvenWhenTheCountIsRight) {
  EXPECT_EQ(coverage_problems(with_boxes({{{0, 0}, {3, 6}}, {{2, 0}, {1, 6}}})),
            Problems{"parameter of w: its slices [0:3, 0:6] and [2:3, 0:6] overlap"});
}

TEST(Coverage, ATensorWithoutAxesIsRefused) {
  Manifest manifest = with_boxes({{{}, {}}});
  manifest.tensors[0].global_shape = {};
  manifest.slices[0].bytes = 0;
  const Problems problems{"parameter of w: it has no axes; a single value has the shape [1]"};
  EXPECT_EQ(coverage_problems(manifest), problems);
  manifest.slices.clear();
  EXPECT_EQ(coverage_problems(manifest), problems);
  EXPECT_EQ(coverage_problems(with_boxes({{{}, {}}})),
            Problems{"parameter of w: its slice [] is not a part of [0:4, 0:6]"});
}

TEST(Coverage, BoxesOutsideTheTensorAndWrongSizesAreNamed) {
  EXPECT_EQ(coverage_problems(with_boxes({{{0, 0}, {4, 7}}})),
            Problems{"parameter of w: its slice [0:4, 0:7] is not a part of [0:4, 0:6]"});
  EXPECT_EQ(coverage_problems(with_boxes({{{0}, {24}}})),
            Problems{"parameter of w: its slice [0:24] is not a part of [0:4, 0:6]"});
  Manifest manifest = with_boxes({{{0, 0}, {4, 6}}});
  manifest.slices[0].bytes = 95;
  EXPECT_EQ(coverage_problems(manifest), Problems{"parameter of w: its slice [0:4, 0:6] has 95 bytes, not 96"});
  manifest = with_boxes({{{0, 0}, {4, 6}}});
  manifest.slices.push_back({"v", "parameter", {{0}, {1}}, "f", "/d", 0, 4, 0});
  EXPECT_EQ(coverage_problems(manifest), Problems{"parameter of v: has slices but is not in the list of tensors"});
}

}  // namespace
}  // namespace trireme::checkpoint
