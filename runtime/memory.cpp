#include "runtime/memory.h"

#include <algorithm>

#include "runtime/error.h"

namespace trireme::runtime {

SlotRing::Lease::~Lease() {
  if (ring_ == nullptr) return;
  ring_->slots_[index_].reset();
  ring_->taken_[index_] = false;
}

SlotRing SlotRing::dry(int64_t slots) {
  SlotRing ring;
  for (int64_t i = 0; i < slots; ++i) ring.slots_.push_back(Arena::dry("slot"));
  ring.taken_.assign(static_cast<size_t>(slots), false);
  return ring;
}

SlotRing SlotRing::on(Device device, int64_t slots, int64_t slot_bytes) {
  SlotRing ring;
  for (int64_t i = 0; i < slots; ++i) ring.slots_.push_back(Arena::on(device, "slot", slot_bytes));
  ring.taken_.assign(static_cast<size_t>(slots), false);
  return ring;
}

SlotRing::Lease SlotRing::acquire() {
  const auto free = std::ranges::find(taken_, false);
  if (free == taken_.end()) {
    throw Error(ErrorKind::internal, "all " + std::to_string(slots_.size()) + " slots are in flight");
  }
  *free = true;
  return {*this, static_cast<size_t>(free - taken_.begin())};
}

int64_t SlotRing::peak_bytes() const {
  int64_t peak = 0;
  for (const Arena& slot : slots_) peak = std::max(peak, slot.peak_bytes());
  return peak;
}

Memory Memory::dry(int64_t slots) {
  return {Arena::dry("persistent"), SlotRing::dry(slots), Arena::dry("scratch")};
}

Memory Memory::on(Device device, const MemoryPlan& plan) {
  return {Arena::on(device, "persistent", plan.persistent_bytes), SlotRing::on(device, plan.slots, plan.slot_bytes),
          Arena::on(device, "scratch", plan.scratch_bytes)};
}

MemoryPlan Memory::used() const {
  return {.persistent_bytes = persistent.peak_bytes(),
          .slot_bytes = slots.peak_bytes(),
          .slots = slots.slots(),
          .scratch_bytes = scratch.peak_bytes()};
}

}  // namespace trireme::runtime
