#include "data/hash_set.h"

#include <gtest/gtest.h>

namespace trireme::data {
namespace {

TEST(HashSet, KnowsWhatWasInserted) {
  HashSet set;
  for (const uint64_t high : {0, 1}) {
    for (uint64_t i = 0; i < 2000; ++i) EXPECT_TRUE(set.insert({.low = i * 4096, .high = high}));  // they collide
  }
  EXPECT_EQ(set.size(), 4000);
  for (const uint64_t high : {0, 1}) {
    for (uint64_t i = 0; i < 2000; ++i) EXPECT_FALSE(set.insert({.low = i * 4096, .high = high}));
  }
  EXPECT_TRUE(set.insert({.low = 1, .high = 0}));
  EXPECT_EQ(set.size(), 4001);
}

}  // namespace
}  // namespace trireme::data
