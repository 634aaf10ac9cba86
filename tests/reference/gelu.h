// gelu (tanh form) and its derivative in float64. (1 + tanh(u)) / 2 is written 1 / (1 + exp(-2u)): the same number, but
// without the cancellation that leaves no digits of it at x = -9.
#pragma once

#include <cmath>
#include <numbers>

namespace trireme::tests {

inline double gelu_logistic_reference(double x) {
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 1 / (1 + std::exp(-2 * u));
}

inline double gelu_reference(double x) {
  return x * gelu_logistic_reference(x);
}

inline double gelu_derivative_reference(double x) {
  const double s = gelu_logistic_reference(x);
  const double u_slope = std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
  return s + x * s * (1 - s) * 2 * u_slope;
}

}  // namespace trireme::tests
