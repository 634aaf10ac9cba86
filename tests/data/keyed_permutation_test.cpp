#include "data/keyed_permutation.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trireme::data {
namespace {

TEST(KeyedPermutation, TheInverseUndoesIt) {
  for (const int64_t size : {1, 2, 3, 5, 16, 17, 255, 256, 257, 5000}) {
    const KeyedPermutation permutation(size, {.seed = 7, .use = PermutationUse::blocks, .epoch = 3});
    std::vector<bool> seen(static_cast<size_t>(size), false);
    for (int64_t value = 0; value < size; ++value) {
      const int64_t image = permutation(value);
      ASSERT_TRUE(image >= 0 && image < size && !seen[static_cast<size_t>(image)]) << value << " of " << size;
      seen[static_cast<size_t>(image)] = true;
      ASSERT_EQ(permutation.inverse(image), value) << size;
    }
  }
}

TEST(KeyedPermutation, EveryPartOfTheKeyCounts) {
  const auto images = [](const PermutationKey& key) {
    const KeyedPermutation permutation(1000, key);
    std::vector<int64_t> all;
    for (int64_t value = 0; value < 1000; ++value) all.push_back(permutation(value));
    return all;
  };
  const std::vector<PermutationKey> keys = {{},
                                            {.seed = 1},
                                            {.use = PermutationUse::blocks},
                                            {.use = PermutationUse::group},
                                            {.source = 1},
                                            {.epoch = 1},
                                            {.use = PermutationUse::mixture},
                                            {.epoch = uint64_t{1} << 32},
                                            {.group = 1},
                                            {.group = 8}};
  for (size_t a = 0; a < keys.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      const std::vector<int64_t> one = images(keys[a]);
      const std::vector<int64_t> other = images(keys[b]);
      int64_t same = 0;
      for (size_t i = 0; i < one.size(); ++i) same += one[i] == other[i] ? 1 : 0;
      // Two random permutations agree in Poisson(1) places: 12 or more have a probability below 1e-9.
      EXPECT_LT(same, 12) << "keys " << a << " and " << b;
    }
  }
}

}  // namespace
}  // namespace trireme::data
