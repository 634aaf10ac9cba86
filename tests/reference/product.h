// Matrix products in float64 by three loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::tests {

/// One factor of storage T: element (i, j) lies at i * row + j * column; a transposed matrix is the same memory.
template <typename T>
struct Factor {
  std::span<const T> values;
  int64_t row;
  int64_t column;
};

/// a (m, k) times b (k, n), row-major.
template <typename T>
std::vector<double> product_reference(int64_t m, int64_t n, int64_t k, Factor<T> a, Factor<T> b) {
  std::vector<double> result(static_cast<size_t>(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t p = 0; p < k; ++p) {
      const double factor = a.values[static_cast<size_t>(i * a.row + p * a.column)];
      for (int64_t j = 0; j < n; ++j) {
        result[static_cast<size_t>(i * n + j)] +=
            factor * static_cast<double>(b.values[static_cast<size_t>(p * b.row + j * b.column)]);
      }
    }
  }
  return result;
}

}  // namespace trireme::tests
