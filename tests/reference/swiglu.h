// silu and its derivative in float64: x / (1 + exp(-x)), as the formula is written.
#pragma once

#include <cmath>

namespace trireme::tests {

inline double silu_reference(double x) {
  return x / (1 + std::exp(-x));
}

inline double silu_derivative_reference(double x) {
  const double s = 1 / (1 + std::exp(-x));
  return s + x * s * (1 - s);
}

}  // namespace trireme::tests
