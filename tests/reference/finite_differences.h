// Gradients by central differences of a float64 function of named parameters, and the norm that compares gradients.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "tests/reference/layers.h"

namespace trireme::tests {

/// d function / d(every element of every parameter of `at`). The step of 1e-5 leaves about 1e-9 of the function's size:
/// its rounding, 1e-16 / 1e-5, and its third derivative, 1e-10 / 6.
inline Parameters finite_differences(Parameters at, const std::function<double(const Parameters&)>& function) {
  constexpr double kStep = 1e-5;
  Parameters gradients;
  for (auto& [name, values] : at) {
    Vector& gradient = gradients[name];
    for (double& value : values) {
      const double before = value;
      value = before + kStep;
      const double above = function(at);
      value = before - kStep;
      const double below = function(at);
      value = before;
      gradient.push_back((above - below) / (2 * kStep));
    }
  }
  return gradients;
}

/// |a - b| in the Euclidean norm; NaN, which no EXPECT_LE accepts, when their sizes differ.
inline double distance(const Vector& a, const Vector& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::quiet_NaN();
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(squares);
}

inline double norm(const Vector& values) {
  return distance(values, Vector(values.size(), 0.0));
}

/// |actual - expected| <= of_own |expected| + of_all |all gradients| for every parameter of `expected`. The second part
/// is for gradients that are small because large terms cancel, to 0 even: the bias of k without rope, which shifts all
/// scores of a query alike.
struct GradientBound {
  double of_own = 0;
  double of_all = 0;
};
inline void expect_gradients_near(const Parameters& actual, const Parameters& expected, const GradientBound& bound) {
  double squares = 0;
  for (const auto& [name, gradient] : expected) squares += norm(gradient) * norm(gradient);
  for (const auto& [name, gradient] : expected) {
    EXPECT_LE(distance(actual.at(name), gradient), bound.of_own * norm(gradient) + bound.of_all * std::sqrt(squares))
        << name << ", whose gradient has the norm " << norm(gradient) << " of " << std::sqrt(squares);
  }
}

}  // namespace trireme::tests
