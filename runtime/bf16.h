// bfloat16: the upper half of an fp32 number. It is a storage format: arithmetic is fp32, and a result is rounded to
// the nearest bf16, ties to even, when it is stored. A loop over `const bf16*` reads as one over `const float*`.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace trireme::runtime {

/// Conversions are forced inline so that loops under TRIREME_SIMD vectorise them.
struct bf16 {
  uint16_t bits;

  bf16() = default;
  [[gnu::always_inline]] bf16(float value) : bits(rounded_bits(value)) {}  // NOLINT: stores round by themselves
  /// Without it an assignment would copy a temporary bf16, which gcc does not vectorise in a loop under omp simd.
  [[gnu::always_inline]] bf16& operator=(float value) {
    bits = rounded_bits(value);
    return *this;
  }
  [[gnu::always_inline]] operator float() const {  // NOLINT: loads widen by themselves
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }

 private:
  /// NaN stays NaN (its payload is cut, the quiet bit set); what rounds beyond the largest bf16 becomes infinite.
  [[gnu::always_inline]] static uint16_t rounded_bits(float value) {
    const auto word = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    return static_cast<uint16_t>(is_nan ? (word >> 16) | 0x40u : rounded);
  }
};
static_assert(sizeof(bf16) == 2 && std::is_trivially_copyable_v<bf16>);

}  // namespace trireme::runtime
