#include "data/sample_order.h"

#include <algorithm>
#include <cassert>

#include "data/keyed_permutation.h"

namespace trireme::data {
namespace {

/// The epoch's windows laid out block after block in the order of the permuted blocks. The block of the last windows
/// may be shorter than the others, and lies anywhere.
class BlockLayout {
 public:
  BlockLayout(int64_t windows, int64_t block_windows, const PermutationKey& key)
      : windows_(windows),
        block_windows_(block_windows),
        blocks_((windows + block_windows - 1) / block_windows),
        missing_(blocks_ * block_windows - windows),
        order_(blocks_, key),
        short_place_(order_.inverse(blocks_ - 1)) {}

  /// Which block in the new order place `at` of the layout lies in.
  int64_t block_place(int64_t at) const { return padded(at) / block_windows_; }
  /// Where the block at this place of the new order begins in the layout; `place` may be the number of blocks or more.
  int64_t begin(int64_t place) const {
    return std::min(place * block_windows_ - (place > short_place_ ? missing_ : 0), windows_);
  }
  int64_t window(int64_t at) const { return order_(block_place(at)) * block_windows_ + padded(at) % block_windows_; }

 private:
  /// The place if all blocks were of full size.
  int64_t padded(int64_t at) const { return at < (short_place_ + 1) * block_windows_ - missing_ ? at : at + missing_; }

  int64_t windows_;
  int64_t block_windows_;
  int64_t blocks_;
  int64_t missing_;
  KeyedPermutation order_;
  int64_t short_place_;  // in the new order
};

}  // namespace

int64_t window_of_sample(int64_t sample, int64_t windows, uint64_t seed, uint32_t source) {
  assert(sample >= 0 && windows >= 1);
  const PermutationKey key = {.seed = seed, .source = source, .epoch = static_cast<uint64_t>(sample / windows)};
  return KeyedPermutation(windows, key)(sample % windows);
}

int64_t window_of_sample(int64_t sample, int64_t windows, uint64_t seed, uint32_t source, const Shuffle& shuffle) {
  if (shuffle.kind == Shuffle::Kind::full) return window_of_sample(sample, windows, seed, source);
  assert(sample >= 0 && windows >= 1 && shuffle.block_windows >= 1 && shuffle.blocks_in_group >= 1);
  PermutationKey key = {
      .seed = seed, .use = PermutationUse::blocks, .source = source, .epoch = static_cast<uint64_t>(sample / windows)};
  const BlockLayout layout(windows, shuffle.block_windows, key);
  const int64_t group = layout.block_place(sample % windows) / shuffle.blocks_in_group;
  const int64_t begin = layout.begin(group * shuffle.blocks_in_group);
  const int64_t end = layout.begin((group + 1) * shuffle.blocks_in_group);
  key.use = PermutationUse::group;
  key.group = static_cast<uint32_t>(group);
  return layout.window(begin + KeyedPermutation(end - begin, key)(sample % windows - begin));
}

}  // namespace trireme::data
