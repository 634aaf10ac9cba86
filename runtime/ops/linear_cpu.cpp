#include "runtime/ops/linear_cpu.h"

#include <algorithm>
#include <cstdint>

#include <cblas.h>

#include "runtime/ops/gelu_function.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kParallelElements = 1 << 14;  // fewer are done sooner than other threads wake up

TRIREME_SIMD void add_bias(const float* bias, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] += bias[i];
}

TRIREME_SIMD void add_bias_gelu(const float* bias, float* pre_activation, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float value = pre_activation[i] + bias[i];
    pre_activation[i] = value;
    y[i] = gelu(value);
  }
}

/// sums += column sums of `rows` rows. Row by row in blocks, block sums added in order: the rounding error grows with
/// the number of blocks instead of rows, and no order depends on the threads.
constexpr int64_t kSumColumns = 64;
constexpr int64_t kSumRows = 128;
TRIREME_SIMD void add_column_sums(const float* dy, int64_t row, int64_t rows, int64_t columns, float* sums) {
  float total[kSumColumns] = {};
  for (int64_t begin = 0; begin < rows; begin += kSumRows) {
    float block[kSumColumns] = {};
    const int64_t end = std::min(rows, begin + kSumRows);
    for (int64_t n = begin; n < end; ++n) {
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) block[c] += dy[n * row + c];
    }
    for (int64_t c = 0; c < columns; ++c) total[c] += block[c];
  }
  for (int64_t c = 0; c < columns; ++c) sums[c] += total[c];
}

/// A row-major matrix as BLAS wants it.
struct Matrix {
  const float* data;
  CBLAS_TRANSPOSE transpose;
  int64_t row;  ///< elements from one stored row to the next
};

/// c (m, n) = a b + beta c.
void multiply(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, float beta, float* c) {
  cblas_sgemm(CblasRowMajor, a.transpose, b.transpose, static_cast<blasint>(m), static_cast<blasint>(n),
              static_cast<blasint>(k), 1.0f, a.data, static_cast<blasint>(a.row), b.data, static_cast<blasint>(b.row),
              beta, c, static_cast<blasint>(n));
}

}  // namespace

void linear_forward(const LinearForward& args) {
  const int64_t N = args.x.shape[0];
  const int64_t C_in = args.x.shape[1];
  const int64_t C_out = args.weight.shape[0];
  float* y = args.y.as<float>();
  const bool has_gelu = args.epilogue == Epilogue::bias_gelu;
  float* product = has_gelu ? args.pre_activation.as<float>() : y;
  if (N == 0 || C_out == 0) return;
  multiply(N, C_out, C_in, {args.x.as<float>(), CblasNoTrans, C_in}, {args.weight.as<float>(), CblasTrans, C_in}, 0.0f,
           product);
  if (args.epilogue == Epilogue::none) return;

  const float* bias = args.bias.as<float>();
#pragma omp parallel for schedule(static) if (N * C_out > kParallelElements)
  for (int64_t n = 0; n < N; ++n) {
    if (has_gelu) {
      add_bias_gelu(bias, product + n * C_out, y + n * C_out, C_out);
    } else {
      add_bias(bias, y + n * C_out, C_out);
    }
  }
}

void linear_backward_input(ConstView dy, ConstView weight, View dx) {
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = weight.shape[1];
  if (N == 0 || C_in == 0) return;
  multiply(N, C_in, C_out, {dy.as<float>(), CblasNoTrans, C_out}, {weight.as<float>(), CblasNoTrans, C_in}, 0.0f,
           dx.as<float>());
}

void linear_backward_weight(ConstView dy, ConstView x, View dweight, View dbias) {
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = x.shape[1];
  if (N == 0 || C_out == 0) return;
  multiply(C_out, C_in, N, {dy.as<float>(), CblasTrans, C_out}, {x.as<float>(), CblasNoTrans, C_in}, 1.0f,
           dweight.as<float>());
  if (dbias.absent()) return;

  const float* gradient = dy.as<float>();
  float* sums = dbias.as<float>();
#pragma omp parallel for schedule(static) if (N * C_out > kParallelElements)
  for (int64_t c = 0; c < C_out; c += kSumColumns) {
    add_column_sums(gradient + c, C_out, N, std::min(kSumColumns, C_out - c), sums + c);
  }
}

}  // namespace trireme::runtime::cpu
