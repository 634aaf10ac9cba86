// Random permutations without a table: each is a function of a key, computed on the spot and in both directions. Every
// random choice of the order of training is one of these.
#pragma once

#include <cstdint>

#include "runtime/philox.h"

namespace trireme::data {

/// What a permutation is for: the random bits of one use are never those of another, nor those of dropout and of
/// initial weights, which use Philox under the seed itself.
enum class PermutationUse : uint32_t {
  windows,  ///< of a data set, in an epoch
  blocks,   ///< of windows, in an epoch
  group,    ///< the windows of a group of blocks, in an epoch
  mixture,  ///< the samples of a block of a mixture
};

struct PermutationKey {
  uint64_t seed = 0;
  PermutationUse use = PermutationUse::windows;
  uint32_t source = 0;  ///< number of the data set
  uint64_t epoch = 0;   ///< or of the block of a mixture
  uint32_t group = 0;   ///< below 2^24
};

/// A permutation of [0, size), size >= 1. O(1): a Feistel network (Luby and Rackoff, "How to construct pseudorandom
/// permutations", 1988) over the next even number of bits, with cycle walking (Black and Rogaway, "Ciphers with
/// arbitrary finite domains", 2002): values outside the range are sent round again, fewer than 4 times on average.
class KeyedPermutation {
 public:
  KeyedPermutation(int64_t size, const PermutationKey& key);

  int64_t operator()(int64_t value) const;
  /// The value that is mapped to `image`.
  int64_t inverse(int64_t image) const;

 private:
  uint64_t mix(uint64_t right, uint32_t round) const;

  uint64_t size_;
  int half_bits_;
  uint64_t half_mask_;
  uint64_t epoch_;
  uint32_t group_;
  runtime::PhiloxKey key_;
};

}  // namespace trireme::data
