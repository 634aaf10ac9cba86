// What a running kernel asks of the emulation: block barriers, exchanges between the lanes of a warp, dynamic shared
// memory and asynchronous copies. block.cpp implements it; device_functions.h and the twin of intrinsics.cuh give it
// CUDA's names. Everything here is called from inside a kernel only, and a violation ends the process with a report.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

namespace trireme::emulation {

using Site = std::source_location;

/// What the threads of a block brought to one barrier.
struct BarrierVotes {
  int threads;  ///< of the block
  int nonzero;  ///< that brought a nonzero predicate
};

/// Waits for every thread of the block. All of them must come to the same site.
BarrierVotes block_barrier(int predicate, const Site& site);

/// What a lane brings to an exchange of its warp: up to eight words.
using LaneValue = std::array<uint32_t, 8>;

/// One warp-wide operation: brings the value of this lane, waits for the lanes of `mask` that have not left the kernel,
/// and gives what each brought for as long as it lives.
class WarpExchange {
 public:
  WarpExchange(uint32_t mask, const LaneValue& value, const char* operation, const Site& site);
  ~WarpExchange();
  WarpExchange(const WarpExchange&) = delete;
  WarpExchange& operator=(const WarpExchange&) = delete;

  /// A lane that did not take part is a reported error.
  const LaneValue& of(unsigned lane) const;
  /// The lanes that took part.
  uint32_t lanes() const;
  /// True for the lowest lane that took part: the one that counts what is counted once for a warp.
  bool leads() const;

  struct State;  ///< block.h

 private:
  State* state_;
};

/// This thread's place in its warp, 0 to 31.
unsigned lane_index();

void* dynamic_shared_memory();

/// Asynchronous copies of 16 bytes; `source` null: zeros. In forward order they are done at the wait, in reverse order
/// at once, in shuffled order either way: all are legal, and each shows other mistakes.
void start_copy(void* target, const void* source);
void commit_copies();
/// Until at most the newest `pending` committed groups of this thread are unfinished.
void wait_for_copies(int pending);

/// Reads of a warp, 8 rows of 16 bytes a phase: adds the conflicts (extra passes over the 32 banks) to the counter.
void count_bank_conflicts(const std::array<const void*, 8>& rows);

/// Ends the process with the kernel, block and thread in front of `what`.
[[noreturn]] void kernel_fault(const char* what, const Site& site);

template <typename T>
LaneValue lane_value(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(LaneValue));
  LaneValue words{};
  std::memcpy(words.data(), &value, sizeof value);
  return words;
}

template <typename T>
T value_of(const LaneValue& words) {
  T value;
  std::memcpy(&value, words.data(), sizeof value);
  return value;
}

}  // namespace trireme::emulation
