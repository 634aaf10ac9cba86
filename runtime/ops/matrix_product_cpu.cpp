#include "runtime/ops/matrix_product_cpu.h"

#include <algorithm>

#include <cblas.h>

#include "runtime/ops/fixed_products.h"
#include "runtime/threads.h"

namespace trireme::runtime::cpu {
namespace {

void multiply_at_once(ProductSizes sizes, Factor<float> a, Factor<float> b, float beta, float* c, int64_t c_row) {
  const auto size = [](int64_t count) { return static_cast<blasint>(count); };
  cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
              size(sizes.m), size(sizes.n), size(sizes.k), 1.0f, a.data, size(a.row), b.data, size(b.row), beta, c,
              size(c_row));
}

/// The factor from row and column `begin` of the product's on: rows of a, columns of b.
Factor<float> rows_from(Factor<float> a, int64_t begin) {
  return {a.data + begin * (a.transposed ? 1 : a.row), a.row, a.transposed};
}
Factor<float> columns_from(Factor<float> b, int64_t begin) {
  return {b.data + begin * (b.transposed ? b.row : 1), b.row, b.transposed};
}

/// While it lives this thread computes alone, OpenBLAS's products included.
class OneThread {
 public:
  OneThread() : before_(compute_threads()) { set_compute_threads(1); }
  ~OneThread() { set_compute_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Inside of a parallel region OpenBLAS takes one thread for each product. A single block wakes no others up.
void multiply_in_blocks(ProductSizes sizes, Factor<float> a, Factor<float> b, float beta, float* c, int64_t c_row) {
  constexpr int64_t kBlock = 256;
  const int64_t across = (sizes.n + kBlock - 1) / kBlock;
  const int64_t blocks = (sizes.m + kBlock - 1) / kBlock * across;
  if (blocks == 1) {
    const OneThread alone;
    return multiply_at_once(sizes, a, b, beta, c, c_row);
  }
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = block / across * kBlock;
    const int64_t column = block % across * kBlock;
    multiply_at_once({std::min(kBlock, sizes.m - row), std::min(kBlock, sizes.n - column), sizes.k}, rows_from(a, row),
                     columns_from(b, column), beta, c + row * c_row + column, c_row);
  }
}

}  // namespace

void multiply(ProductSizes sizes, Factor<float> a, Factor<float> b, float beta, float* c, int64_t c_row) {
  if (FixedProducts::wanted()) return multiply_in_blocks(sizes, a, b, beta, c, c_row);
  multiply_at_once(sizes, a, b, beta, c, c_row);
}

}  // namespace trireme::runtime::cpu
