#include "launch/suggestion.h"

#include <gtest/gtest.h>

namespace trireme::launch {
namespace {

TEST(EditDistance, CountsInsertDropReplaceAndSwap) {
  EXPECT_EQ(edit_distance("steps", "steps"), 0);
  EXPECT_EQ(edit_distance("", "seed"), 4);
  EXPECT_EQ(edit_distance("step", "steps"), 1);
  EXPECT_EQ(edit_distance("stepss", "steps"), 1);
  EXPECT_EQ(edit_distance("stebs", "steps"), 1);
  EXPECT_EQ(edit_distance("tarin", "train"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(NearestName, IsCloseOrContainsTheWord) {
  const std::vector<std::string> names{"seed", "steps", "stop-at-step", "learning-rate", "min-learning-rate"};
  EXPECT_EQ(nearest_name("stesp", names), "steps");
  EXPECT_EQ(nearest_name("leraning-rat", names), "learning-rate");
  EXPECT_EQ(nearest_name("learn", names), "learning-rate");
  EXPECT_EQ(nearest_name("x", names), std::nullopt);
  EXPECT_EQ(nearest_name("", names), std::nullopt);
  EXPECT_EQ(nearest_name("zero-stage", names), std::nullopt);
}

}  // namespace
}  // namespace trireme::launch
