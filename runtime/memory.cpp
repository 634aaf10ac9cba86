#include "runtime/memory.h"

#include <algorithm>
#include <utility>

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

int64_t MemoryPlan::slot_bytes() const {
  int64_t bytes = 0;
  for (const SlotPlan& chunk : slots) bytes += chunk.count * chunk.bytes;
  return bytes;
}

Memory Memory::dry(const std::vector<int64_t>& slot_counts) {
  std::vector<SlotRing> rings;
  for (const int64_t count : slot_counts) rings.push_back(SlotRing::dry(count));
  return {Arena::dry("persistent"), std::move(rings), Arena::dry("scratch")};
}

Memory Memory::on(Device device, const MemoryPlan& plan) {
  Arena persistent = Arena::on(device, "persistent", plan.persistent_bytes);
  std::vector<SlotRing> rings;
  for (const SlotPlan& chunk : plan.slots) rings.push_back(SlotRing::on(device, chunk.count, chunk.bytes));
  return {std::move(persistent), std::move(rings), Arena::on(device, "scratch", plan.scratch_bytes)};
}

MemoryPlan Memory::used() const {
  MemoryPlan plan{.persistent_bytes = persistent.peak_bytes(), .slots = {}, .scratch_bytes = scratch.peak_bytes()};
  for (const SlotRing& ring : slots) plan.slots.push_back({.bytes = ring.peak_bytes(), .count = ring.slots()});
  return plan;
}

}  // namespace trireme::runtime
