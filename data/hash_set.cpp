#include "data/hash_set.h"

#include <algorithm>

namespace trireme::data {

using runtime::Hash128;

bool HashSet::insert(const Hash128& hash) {
  if (hash == Hash128{}) {
    if (has_zero_) return false;
    has_zero_ = true;
    ++size_;
    return true;
  }
  if (size_ + 1 > std::ssize(slots_) / 4 * 3) grow();
  Hash128& slot = slot_of(slots_, hash);
  if (slot == hash) return false;
  slot = hash;
  ++size_;
  return true;
}

Hash128& HashSet::slot_of(std::vector<Hash128>& slots, const Hash128& hash) {
  const size_t mask = slots.size() - 1;
  for (size_t at = hash.low & mask;; at = (at + 1) & mask) {
    if (slots[at] == hash || slots[at] == Hash128{}) return slots[at];
  }
}

void HashSet::grow() {
  std::vector<Hash128> larger(std::max<size_t>(1024, slots_.size() * 2));
  for (const Hash128& hash : slots_) {
    if (!(hash == Hash128{})) slot_of(larger, hash) = hash;
  }
  slots_ = std::move(larger);
}

}  // namespace trireme::data
