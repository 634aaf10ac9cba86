#include "launch/tensor_difference.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace trireme::launch {
namespace {

/// The larger one; not-a-number wins.
double larger(double a, double b) {
  return std::isnan(a) || a > b ? a : b;
}

/// u of AdamW: the direction of a parameter's step, of like size for all of them.
double direction(const UpdatedElement& element, const UpdateTerms& terms) {
  return element.m * terms.m_correction / (std::sqrt(element.v * terms.v_correction) + terms.epsilon);
}

}  // namespace

void Extent::add(double value) {
  squares += value * value;
  largest = larger(largest, std::abs(value));
}

void Extent::add(const Extent& other) {
  squares += other.squares;
  largest = larger(largest, other.largest);
}

void add_differences(std::span<const float> values, std::span<const float> expected, Extent& difference) {
  assert(values.size() == expected.size());
  for (size_t i = 0; i < values.size(); ++i) {
    difference.add(static_cast<double>(values[i]) - static_cast<double>(expected[i]));
  }
}

double relative_difference(const Extent& difference, const Extent& size, const Extent& floor) {
  if (difference == Extent{}) return 0;  // also of nothing
  const double by_length = std::sqrt(difference.squares) / (std::sqrt(size.squares) + std::sqrt(floor.squares));
  const double by_largest = difference.largest / (size.largest + floor.largest);
  return larger(by_length, by_largest);
}

double unexplained_update(const UpdatedElement& value, const UpdatedElement& expected, const UpdateTerms& terms) {
  const double u = direction(expected, terms);
  const double explained = -terms.learning_rate * (direction(value, terms) - u);
  const double unexplained = std::abs(value.parameter - expected.parameter - explained);
  if (unexplained == 0) return 0;
  return unexplained / (std::abs(expected.parameter) + terms.learning_rate * (1 + std::abs(u)));
}

}  // namespace trireme::launch
