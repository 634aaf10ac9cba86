#include "data/pair_table.h"

#include <algorithm>
#include <bit>

namespace trireme::data {

PairTable::PairTable(std::span<const std::pair<int32_t, int32_t>> pairs, std::span<const uint32_t> ranks)
    : slots_(std::bit_ceil(std::max<size_t>(16, 2 * pairs.size())), kEmpty),
      shift_(64 - std::countr_zero(slots_.size())) {
  for (size_t i = 0; i < pairs.size(); ++i) {
    const uint64_t key = key_of(pairs[i].first, pairs[i].second);
    size_t slot = slot_of(key);
    while (slots_[slot] != kEmpty) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = key << kRankBits | ranks[i];
  }
}

}  // namespace trireme::data
