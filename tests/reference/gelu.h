// gelu (tanh form) and its derivative in float64, as the formula is written.
#pragma once

#include <cmath>
#include <numbers>

namespace trireme::tests {

inline double gelu_reference(double x) {
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x / 2 * (1 + std::tanh(u));
}

inline double gelu_derivative_reference(double x) {
  const double scale = std::sqrt(2 / std::numbers::pi);
  const double t = std::tanh(scale * (x + 0.044715 * x * x * x));
  return (1 + t) / 2 + x / 2 * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x);
}

}  // namespace trireme::tests
