// silu(x) = x / (1 + exp(-x)) and its derivative at one fp32 value, for loops that gcc vectorises. The logistic
// function is taken from exp(-|x|), which cannot overflow and keeps its relative accuracy where silu goes to 0.
#pragma once

#include "runtime/ops/fast_exp.h"

namespace trireme::runtime {

/// What both functions need.
struct SiluTerms {
  float decay;     ///< exp(-|x|)
  float logistic;  ///< 1 / (1 + exp(-x))
};

[[gnu::always_inline]] inline SiluTerms silu_terms(float x) {
  const float decay = fast_exp(x < 0.0f ? x : -x);
  return {decay, (x < 0.0f ? decay : 1.0f) / (1.0f + decay)};
}

[[gnu::always_inline]] inline float silu(float x) {
  return x * silu_terms(x).logistic;
}

/// silu'(x) = s + x s (1 - s), s = logistic(x).
[[gnu::always_inline]] inline float silu_derivative(float x) {
  const SiluTerms terms = silu_terms(x);
  const float other = 1.0f + terms.decay;
  return terms.logistic + x * terms.decay / (other * other);
}

}  // namespace trireme::runtime
