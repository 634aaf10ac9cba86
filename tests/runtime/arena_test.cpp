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

}  // namespace
}  // namespace trireme::runtime
