// A set of 128-bit hashes in one flat array (open addressing, linear probing, at most 3/4 full): 16 bytes a slot, so 22
// to 43 bytes a hash, and half as much again for the moment in which it grows.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/digest.h"

namespace trireme::data {

class HashSet {
 public:
  /// False when the hash was there.
  bool insert(const runtime::Hash128& hash);
  int64_t size() const { return size_; }

 private:
  /// The slot that holds `hash`, or the empty one where it belongs.
  static runtime::Hash128& slot_of(std::vector<runtime::Hash128>& slots, const runtime::Hash128& hash);
  void grow();

  std::vector<runtime::Hash128> slots_;  // a power of two; {0, 0}: empty
  int64_t size_ = 0;
  bool has_zero_ = false;  // the hash that looks like an empty slot
};

}  // namespace trireme::data
