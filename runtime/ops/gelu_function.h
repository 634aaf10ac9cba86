// gelu and its derivative at one fp32 value, for loops that gcc vectorises. (1 + tanh(u)) / 2 is written as the
// logistic function of 2u, which keeps its relative accuracy where gelu goes to 0, and has no overflow for any finite
// x.
#pragma once

#include "runtime/ops/fast_exp.h"

namespace trireme::runtime {

/// u(x) = sqrt(2/pi) (x + 0.044715 x^3) and what both functions need of it.
struct GeluTerms {
  float x;         ///< bounded to where gelu is not yet 0 or x
  float decay;     ///< exp(-|2u|)
  float logistic;  ///< 1 / (1 + exp(-2u))
};

inline constexpr float kGeluScale = 0.797884561f;  // sqrt(2/pi)
inline constexpr float kGeluCubic = 0.044715f;

[[gnu::always_inline]] inline GeluTerms gelu_terms(float x) {
  const float at_least = x < -20.0f ? -20.0f : x;  // comparisons that let NaN pass
  const float bounded = at_least > 20.0f ? 20.0f : at_least;
  const float two_u = 2.0f * kGeluScale * bounded * (1.0f + kGeluCubic * bounded * bounded);
  const float decay = fast_exp(two_u < 0.0f ? two_u : -two_u);
  return {bounded, decay, (two_u < 0.0f ? decay : 1.0f) / (1.0f + decay)};
}

[[gnu::always_inline]] inline float gelu(float x) {
  return x * gelu_terms(x).logistic;
}

/// gelu'(x) = s + x s (1 - s) 2u'(x), s = logistic(2u).
[[gnu::always_inline]] inline float gelu_derivative(float x) {
  const GeluTerms terms = gelu_terms(x);
  const float other = 1.0f + terms.decay;
  const float slope = 2.0f * kGeluScale * (1.0f + 3.0f * kGeluCubic * terms.x * terms.x);
  return terms.logistic + terms.x * slope * terms.decay / (other * other);
}

}  // namespace trireme::runtime
