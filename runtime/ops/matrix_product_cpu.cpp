#include "runtime/ops/matrix_product_cpu.h"

#include <cblas.h>

namespace trireme::runtime::cpu {

void multiply(ProductSizes sizes, Factor<float> a, Factor<float> b, float beta, float* c, int64_t c_row) {
  const auto size = [](int64_t count) { return static_cast<blasint>(count); };
  cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
              size(sizes.m), size(sizes.n), size(sizes.k), 1.0f, a.data, size(a.row), b.data, size(b.row), beta, c,
              size(c_row));
}

}  // namespace trireme::runtime::cpu
