#include "launch/tensor_difference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace trireme::launch {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Extent, HasLengthAndLargestMember) {
  Extent extent;
  for (const double value : {3.0, -4.0}) extent.add(value);
  EXPECT_EQ(extent, (Extent{.squares = 25, .largest = 4}));
  extent.add(Extent{.squares = 1, .largest = 5});
  EXPECT_EQ(extent, (Extent{.squares = 26, .largest = 5}));
}

TEST(Extent, NotANumberStays) {
  Extent extent;
  for (const double value : {1.0, kNan, 2.0}) extent.add(value);
  EXPECT_TRUE(std::isnan(extent.squares));
  EXPECT_TRUE(std::isnan(extent.largest));
}

TEST(Extent, DifferencesAreTakenInDoublePrecision) {
  const std::vector<float> values{1 + 0x1p-23f, 2};
  const std::vector<float> expected{1, 2};
  Extent difference;
  add_differences(values, expected, difference);
  EXPECT_EQ(difference, (Extent{.squares = 0x1p-46, .largest = 0x1p-23}));
}

TEST(RelativeDifference, IsTheLargerOfLengthAndLargestMember) {
  const Extent size{.squares = 100, .largest = 5};
  EXPECT_DOUBLE_EQ(relative_difference({.squares = 1, .largest = 0.1}, size, {}), 0.1);  // many small ones
  EXPECT_DOUBLE_EQ(relative_difference({.squares = 1, .largest = 1.0}, size, {}), 0.2);  // one large one
  EXPECT_EQ(relative_difference({}, {}, {}), 0) << "nothing differs from nothing";
  EXPECT_TRUE(std::isinf(relative_difference({.squares = 1, .largest = 1}, {}, {}))) << "something from nothing";
  EXPECT_TRUE(std::isnan(relative_difference({.squares = kNan, .largest = kNan}, size, {})));
}

TEST(RelativeDifference, AFloorStandsInForASizeOfNothing) {
  const Extent floor{.squares = 1e-6, .largest = 1e-3};
  EXPECT_DOUBLE_EQ(relative_difference({.squares = 1e-12, .largest = 1e-6}, {}, floor), 1e-3);
}

/// An update as AdamW makes it, in float64.
UpdatedElement updated(double parameter, double m, double v, const UpdateTerms& terms, double weight_decay) {
  const double u = m * terms.m_correction / (std::sqrt(v * terms.v_correction) + terms.epsilon);
  return {.parameter = parameter - terms.learning_rate * (u + weight_decay * parameter), .m = m, .v = v};
}

// The sign of a gradient that is nothing but rounding decides where a first update goes.
TEST(UnexplainedUpdate, IsNothingWhereMomentsExplainIt) {
  const UpdateTerms terms{.learning_rate = 1e-3, .m_correction = 10, .v_correction = 20};
  const UpdatedElement up = updated(0.5, 1e-12, 1e-24 / 2, terms, 0.1);
  const UpdatedElement down = updated(0.5, -1e-12, 1e-24 / 2, terms, 0.1);
  EXPECT_GT(std::abs(up.parameter - down.parameter), 1e-7);
  EXPECT_LT(unexplained_update(up, down, terms), 1e-13);  // units of float64
}

// Each is far above the bound of 16 units of 2^-24, 1e-6.
TEST(UnexplainedUpdate, ShowsAnUpdateThatWasNotMadeOrMadeOtherwise) {
  const UpdateTerms terms{.learning_rate = 1e-3, .m_correction = 10, .v_correction = 20};
  const UpdatedElement right = updated(0.5, 0.02, 1e-3, terms, 0.1);
  UpdatedElement wrong = right;
  wrong.parameter = 0.5;
  EXPECT_GT(unexplained_update(wrong, right, terms), 1e-3) << "no update";
  wrong = updated(0.5, 0.02, 1e-3, terms, 0);
  EXPECT_GT(unexplained_update(wrong, right, terms), 5e-5) << "no weight decay";
  wrong = updated(0.5, 0.02, 1e-3, {.learning_rate = 1.01e-3, .m_correction = 10, .v_correction = 20}, 0.1);
  EXPECT_GT(unexplained_update(wrong, right, terms), 5e-6) << "a learning rate that is 1% off";
  wrong.parameter = kNan;
  EXPECT_TRUE(std::isnan(unexplained_update(wrong, right, terms)));
}

}  // namespace
}  // namespace trireme::launch
