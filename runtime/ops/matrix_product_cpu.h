// The fp32 product of two row-major matrices, by OpenBLAS: the one place that calls it.
#pragma once

#include <cstdint>

namespace trireme::runtime::cpu {

/// A factor of a product where it lies, of storage T. A transposed one is stored as (columns, rows).
template <typename T>
struct Factor {
  const T* data;
  int64_t row;  ///< elements from one stored row to the next
  bool transposed;
};

/// a (m, k), b (k, n), c (m, n).
struct ProductSizes {
  int64_t m;
  int64_t n;
  int64_t k;
};

/// c = a b + beta c; rows of c are `c_row` elements apart.
void multiply(ProductSizes sizes, Factor<float> a, Factor<float> b, float beta, float* c, int64_t c_row);

}  // namespace trireme::runtime::cpu
