// gelu and silu with their derivatives at one fp32 value, on the GPU: by way of 2^x and a division that are not rounded
// correctly, but to 2 ulp. Relative error 1e-5 at most (the rounding of the exponent, |x| up to 9 and 80), mostly 1e-6.
// The CPU's are in runtime/ops/{gelu,silu}_function.h.
#pragma once

#include <cuda_runtime.h>

#include <numbers>

#include "runtime/cuda/intrinsics.cuh"

namespace trireme::runtime::cuda {

inline constexpr double kGeluSlope = 2 * 0.79788456080286536;  // 2 sqrt(2/pi)
inline constexpr double kGeluCubicFactor = 0.044715;

/// 1 + exp(-2u(x)) with u(x) = sqrt(2/pi) (x + 0.044715 x^3); infinite for far negative x, where gelu goes to -0.
__device__ __forceinline__ float gelu_denominator(float x) {
  constexpr float kLinear = static_cast<float>(kGeluSlope * std::numbers::log2e);
  constexpr float kCubic = static_cast<float>(kGeluSlope * std::numbers::log2e * kGeluCubicFactor);
  return 1.0f + fast_exp2(-x * (kLinear + kCubic * (x * x)));
}

/// x logistic(2u).
__device__ __forceinline__ float gelu(float x) {
  return __fdividef(x, gelu_denominator(x));
}

/// s + x s (1 - s) 2u'(x), s = logistic(2u): written as s (1 + x 2u' (1 - s)), which is 0 where s is.
__device__ __forceinline__ float gelu_derivative(float x) {
  const float at_least = x < -20.0f ? -20.0f : x;  // comparisons that let NaN pass
  const float bounded = at_least > 20.0f ? 20.0f : at_least;
  constexpr float kLinear = static_cast<float>(kGeluSlope);
  constexpr float kCubic = static_cast<float>(3 * kGeluSlope * kGeluCubicFactor);
  const float s = __fdividef(1.0f, gelu_denominator(bounded));
  const float slope = kLinear + kCubic * (bounded * bounded);
  return s * (1.0f + bounded * slope * (1.0f - s));
}

/// 1 + exp(-x).
__device__ __forceinline__ float silu_denominator(float x) {
  constexpr float kNegated = static_cast<float>(-std::numbers::log2e);
  return 1.0f + fast_exp2(x * kNegated);
}

/// x logistic(x).
__device__ __forceinline__ float silu(float x) {
  return __fdividef(x, silu_denominator(x));
}

struct SiluAndDerivative {
  float value;
  float derivative;
};

/// The derivative is s (1 + x (1 - s)), s = logistic(x).
__device__ __forceinline__ SiluAndDerivative silu_and_derivative(float x) {
  const float s = __fdividef(1.0f, silu_denominator(x));
  return {x * s, s * (1.0f + x * (1.0f - s))};
}

}  // namespace trireme::runtime::cuda
