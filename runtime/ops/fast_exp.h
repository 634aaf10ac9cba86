// exp in fp32 that gcc vectorises inside a loop (std::exp it does not, short of -ffast-math). Relative error below
// 3e-7: range reduction to |r| <= ln(2)/2 with ln(2) in two pieces (Cody and Waite 1980), then the Taylor polynomial of
// degree 7, whose remainder r^8/8! is 5e-9.
#pragma once

#include <bit>
#include <cstdint>
#include <numbers>

namespace trireme::runtime {

/// Exactly 0 below -87 (so exp(-inf) = 0: a masked score needs no branch), exp(88) above 88, NaN for NaN.
[[gnu::always_inline]] inline float fast_exp(float x) {
  constexpr float kLow = -87.0f;
  constexpr float kHigh = 88.0f;
  constexpr float kRound = 0x1.8p23f;       // adding it leaves the nearest integer in the low bits
  constexpr float kLn2High = 0.693359375f;  // 10 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;

  const float at_least = x < kLow ? kLow : x;
  const float bounded = at_least > kHigh ? kHigh : at_least;
  const float shifted = bounded * std::numbers::log2e_v<float> + kRound;
  const float n = shifted - kRound;
  const float r = bounded - n * kLn2High - n * kLn2Low;
  float sum = 1.0f / 5040.0f;
  sum = sum * r + 1.0f / 720.0f;
  sum = sum * r + 1.0f / 120.0f;
  sum = sum * r + 1.0f / 24.0f;
  sum = sum * r + 1.0f / 6.0f;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  const float power_of_two = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) + 127u) << 23);
  return x < kLow ? 0.0f : sum * power_of_two;
}

}  // namespace trireme::runtime
