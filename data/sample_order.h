// The order in which training meets the windows of a dataset: a keyed permutation, new in every epoch, computed on the
// spot from the global sample index. There is nothing to store, to build or to resume, and nothing depends on ranks.
#pragma once

#include <cstdint>

namespace trireme::data {

/// The window of global sample `sample` (>= 0): sample = epoch * windows + j gives P_{seed,epoch}(j), where P is a
/// permutation of [0, windows), windows >= 1. O(1): a Feistel network (Luby and Rackoff, "How to construct pseudorandom
/// permutations", 1988) over the next even number of bits, with cycle walking (Black and Rogaway, "Ciphers with
/// arbitrary finite domains", 2002): values outside the range are sent round again, fewer than 4 times on average.
int64_t window_of_sample(int64_t sample, int64_t windows, uint64_t seed);

}  // namespace trireme::data
