#include "runtime/arena.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/memory.h"

namespace trireme::runtime {
namespace {

TEST(Arena, DryCountsWhatHostUses) {
  Arena dry = Arena::dry("dry");
  Arena host = Arena::host("host", 1 << 20);
  for (Arena* arena : {&dry, &host}) {
    arena->allocate(DType::fp32, {3, 5});
    ArenaFrame frame(*arena);
    arena->allocate(DType::u8, {1});
  }
  EXPECT_EQ(dry.peak_bytes(), 512);
  EXPECT_EQ(dry.peak_bytes(), host.peak_bytes());
  EXPECT_EQ(dry.used_bytes(), 256);
  EXPECT_EQ(host.used_bytes(), 256);
}

TEST(Arena, ViewsAreAligned) {
  Arena arena = Arena::host("host", 1 << 12);
  arena.allocate(DType::u8, {1});
  const View view = arena.allocate(DType::fp32, {2});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % Arena::kAlignmentBytes, 0u);
}

TEST(Arena, ExhaustionNamesArenaAndSizes) {
  Arena arena = Arena::host("scratch", 512);
  arena.allocate(DType::u8, {64});
  try {
    arena.allocate(DType::fp32, {65});
    FAIL() << "an exhausted arena must throw";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "arena scratch of 512 bytes has no room for (65) fp32 after 256 bytes");
  }
}

TEST(SlotRing, HandsOutOutOfOrderAndRefusesTooMany) {
  SlotRing ring = SlotRing::on(Device::cpu, 2, 256);
  auto first = std::make_unique<SlotRing::Lease>(ring.acquire());
  SlotRing::Lease second = ring.acquire();
  EXPECT_THROW(ring.acquire(), Error);
  const void* address = first->arena().allocate(DType::u8, {64}).data;
  first.reset();
  SlotRing::Lease third = ring.acquire();
  EXPECT_EQ(third.arena().allocate(DType::u8, {64}).data, address);
}

TEST(Memory, DryChunksOfUnequalSlotsAreWhatARunTakes) {
  Memory dry = Memory::dry({2, 1});
  dry.persistent.allocate(DType::u8, {300});
  dry.slots[0].acquire().arena().allocate(DType::u8, {256});
  dry.slots[1].acquire().arena().allocate(DType::u8, {1024});
  const MemoryPlan plan = dry.used();
  EXPECT_EQ(plan.slots, (std::vector<SlotPlan>{{.bytes = 256, .count = 2}, {.bytes = 1024, .count = 1}}));
  EXPECT_EQ(plan.slot_bytes(), 1536);
  EXPECT_EQ(plan.total_bytes(), 512 + 1536);

  Memory memory = Memory::on(Device::cpu, plan);
  memory.persistent.allocate(DType::u8, {300});
  memory.slots[0].acquire().arena().allocate(DType::u8, {256});
  memory.slots[1].acquire().arena().allocate(DType::u8, {1024});
  EXPECT_EQ(memory.used(), plan);
  EXPECT_EQ(Memory::dry().used().slots, (std::vector<SlotPlan>{{.bytes = 0, .count = 1}}));
}

}  // namespace
}  // namespace trireme::runtime
