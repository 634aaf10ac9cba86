// The three lifetimes of memory in a training step, and the plan that sizes them.
//   persistent  parameters, gradients, optimizer state: made at start, never freed
//   slot        what one microbatch saves between its forward and the end of its backward in one chunk of layers; the
//               slots of a chunk are equal, handed out by a ring; chunks differ
//   scratch     a stack inside one action, empty between actions
// The plan is made by running the same code over dry memory; the run then allocates exactly that, once. What libraries
// and communicators take for themselves is not in it (README.md).
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/arena.h"

namespace trireme::runtime {

/// The slots of one chunk.
struct SlotPlan {
  int64_t bytes = 0;  ///< of one slot
  int64_t count = 1;
  bool operator==(const SlotPlan&) const = default;
};

struct MemoryPlan {
  int64_t persistent_bytes = 0;
  std::vector<SlotPlan> slots;  ///< by chunk
  int64_t scratch_bytes = 0;

  /// Of all slots of all chunks.
  int64_t slot_bytes() const;
  int64_t total_bytes() const { return persistent_bytes + slot_bytes() + scratch_bytes; }
  bool operator==(const MemoryPlan&) const = default;
};

/// Equal arenas, handed out first to whoever asks and given back in any order.
class SlotRing {
 public:
  /// One slot for as long as the lease lives.
  class Lease {
   public:
    Lease(SlotRing& ring, size_t index) : ring_(&ring), index_(index) {}
    Lease(Lease&& other) noexcept : ring_(other.ring_), index_(other.index_) { other.ring_ = nullptr; }
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Arena& arena() { return ring_->slots_[index_]; }

   private:
    SlotRing* ring_;
    size_t index_;
  };

  static SlotRing dry(int64_t slots);
  static SlotRing on(Device device, int64_t slots, int64_t slot_bytes);

  /// Throws Error(internal) when more are in flight than the schedule said.
  Lease acquire();

  int64_t slots() const { return static_cast<int64_t>(slots_.size()); }
  /// The most that any slot has held.
  int64_t peak_bytes() const;

 private:
  std::vector<Arena> slots_;
  std::vector<bool> taken_;
};

struct Memory {
  Arena persistent;
  std::vector<SlotRing> slots;  ///< by chunk
  Arena scratch;

  /// Rings of so many slots by chunk; alone: one chunk of one slot.
  static Memory dry(const std::vector<int64_t>& slot_counts = {1});
  /// All of the plan, in the memory of `device`, which is not dry.
  static Memory on(Device device, const MemoryPlan& plan);

  /// What was really used so far; after a dry step this is the plan.
  MemoryPlan used() const;
};

}  // namespace trireme::runtime
