// The order in which training meets the windows of a dataset: a keyed permutation, new in every epoch, computed on the
// spot from the sample index. There is nothing to store, to build or to resume, and nothing depends on ranks.
#pragma once

#include <cstdint>

namespace trireme::data {

/// The window of sample `sample` (>= 0) of data set number `source`: sample = epoch * windows + j gives
/// P_{seed,source,epoch}(j), where P is a permutation of [0, windows), windows >= 1 (keyed_permutation.h). O(1).
int64_t window_of_sample(int64_t sample, int64_t windows, uint64_t seed, uint32_t source = 0);

/// How the windows of an epoch are put in order.
struct Shuffle {
  enum class Kind {
    full,     ///< any window may follow any other
    blocked,  ///< in two levels, for storage that is slow at random places
  };
  Kind kind = Kind::full;
  int64_t block_windows = 1;    ///< blocked: neighbouring windows that form a block
  int64_t blocks_in_group = 1;  ///< blocked: in a group every window may follow every other
};

/// The same in two levels: the epoch's blocks of neighbouring windows are permuted, cut into groups of consecutive
/// ones, and the windows of each group permuted. So at any time only the blocks of one group are read, and each once in
/// an epoch. Groups that hold all blocks are a full shuffle, of another key. O(1).
int64_t window_of_sample(int64_t sample, int64_t windows, uint64_t seed, uint32_t source, const Shuffle& shuffle);

}  // namespace trireme::data
