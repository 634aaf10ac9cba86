#include "runtime/bf16.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

/// The nearest bf16 by search among its neighbours, with doubles: what the bit arithmetic must agree with.
float nearest(float value) {
  const auto word = std::bit_cast<uint32_t>(value) & 0xffff0000u;
  const auto below = std::bit_cast<float>(word);
  const auto above = std::bit_cast<float>(word + 0x10000u);
  const double half = std::isinf(above) ? below + std::copysign(std::ldexp(1.0, 127 - 8), below)
                                        : (static_cast<double>(below) + above) / 2;
  if (std::fabs(value) < std::fabs(half)) return below;
  if (std::fabs(value) > std::fabs(half)) return above;
  return (word & 0x10000u) == 0 ? below : above;  // a tie goes to the even one
}

TEST(Bf16, WideningAndStoringAgainKeepsEveryBitPattern) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto value = std::bit_cast<float>(bits << 16);
    const bf16 stored = value;
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(stored))) << bits;
    } else {
      ASSERT_EQ(stored.bits, bits);
    }
  }
}

TEST(Bf16, StoresTheNearestTiesToEven) {
  for (uint32_t high = 0; high < 0x7f80; ++high) {
    for (const uint32_t low : {0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      for (const uint32_t sign : {0u, 0x80000000u}) {
        const auto value = std::bit_cast<float>(sign | high << 16 | low);
        ASSERT_EQ(static_cast<float>(bf16(value)), nearest(value)) << value;
      }
    }
  }
}

TEST(Bf16, AssignmentRoundsAsConstructionDoes) {
  for (uint32_t high = 0; high < 0x10000; high += 7) {
    for (const uint32_t low : {0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const auto value = std::bit_cast<float>(high << 16 | low);
      bf16 stored = 1;
      stored = value;
      ASSERT_EQ(stored.bits, bf16(value).bits) << value;
    }
  }
}

TEST(Bf16, NanStaysNanAndOverflowIsInfinite) {
  EXPECT_TRUE(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(0x7f800001u)))));  // its payload is all cut
  EXPECT_TRUE(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(0xffffffffu)))));
  EXPECT_EQ(static_cast<float>(bf16(std::numeric_limits<float>::max())), INFINITY);
  EXPECT_EQ(static_cast<float>(bf16(-INFINITY)), -INFINITY);
}

}  // namespace
}  // namespace trireme::runtime
