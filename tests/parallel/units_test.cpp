#include "parallel/units.h"

#include <gtest/gtest.h>

namespace trireme::parallel {
namespace {

ParameterSpec spec(const std::string& name, const std::vector<int64_t>& shape, bool fused = false) {
  return {.name = name, .global_shape = shape, .box = whole(shape), .fused_with_previous = fused};
}

TEST(Units, ParametersAreAlignedUnlessFused) {
  const UnitLayout unit =
      lay_out_unit("u", {spec("a", {3}), spec("b", {2, 5}), spec("c", {7}, true), spec("d", {1})}, 1);
  ASSERT_EQ(unit.parameters.size(), 4u);
  EXPECT_EQ(unit.parameters[0].offset, 0);
  EXPECT_EQ(unit.parameters[1].offset, 64);
  EXPECT_EQ(unit.parameters[2].offset, 74);
  EXPECT_EQ(unit.parameters[3].offset, 128);
  EXPECT_EQ(unit.elements, 192);
}

TEST(Units, PaddingLiesBehindItsParameter) {
  ParameterSpec table = spec("a", {5, 7});
  table.padding = 3 * 7;
  const UnitLayout unit = lay_out_unit("u", {table, spec("b", {7})}, 1);
  EXPECT_EQ(unit.parameters[1].offset, 64);
  EXPECT_EQ(unit.parameters[0].spec.box.elements(), 35);
  table.padding = 30;
  EXPECT_EQ(lay_out_unit("u", {table, spec("b", {7})}, 1).parameters[1].offset, 128);
}

TEST(Units, LengthIsAMultipleOfEveryDataRanksShare) {
  for (const int64_t dp : {1, 2, 3, 8}) EXPECT_EQ(lay_out_unit("u", {spec("a", {1000})}, dp).elements % (dp * 64), 0);
}

}  // namespace
}  // namespace trireme::parallel
