// Which pairs of tokens join and how early: a hash table without pointers, eight bytes an entry, so that the common
// part of a vocabulary's merges stays in the near caches.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "data/bpe_vocabulary.h"

namespace trireme::data {

class PairTable {
 public:
  static constexpr uint32_t kNone = 0xFFFFFF;  ///< the rank of a pair that does not join; all others are less
  static_assert(kMergesLimit <= kNone && kVocabularyLimit < (1 << 20));

  /// pairs[i] has rank ranks[i]; no pair twice. Ids and ranks are within the vocabulary's limits.
  PairTable(std::span<const std::pair<int32_t, int32_t>> pairs, std::span<const uint32_t> ranks);

  uint32_t rank(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & (slots_.size() - 1)) {
      const uint64_t found = slots_[slot];
      if (found >> kRankBits == key || found == kEmpty) return static_cast<uint32_t>(found) & kNone;
    }
  }

 private:
  static constexpr int kRankBits = 24;
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // no pair's, since ids are less than 2^20 - 1; its rank is kNone

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 20 | static_cast<uint64_t>(right);
  }
  size_t slot_of(uint64_t key) const { return static_cast<size_t>((key * 0x9E3779B97F4A7C15) >> shift_); }

  std::vector<uint64_t> slots_;  // at most half full, linear probing
  int shift_;
};

}  // namespace trireme::data
