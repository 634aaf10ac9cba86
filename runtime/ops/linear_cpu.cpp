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

/// y = x w^T for outputs [begin, end) and a few rows of x. Decoding reads each weight for one or a few tokens: the time
/// is that of reading the weights, which sgemm would first copy (N = 1: 1.5 ms for 9.4 MB, this loop 0.66 ms).
constexpr int64_t kFewRows = 8;
constexpr int64_t kOutputs = 4;  // dot products computed together
TRIREME_SIMD void multiply_few_rows(const LinearForward& args, int64_t begin, int64_t end, float* y) {
  const int64_t N = args.x.shape[0];
  const int64_t C_in = args.x.shape[1];
  const int64_t C_out = args.weight.shape[0];
  const float* weight = args.weight.as<float>();
  int64_t out = begin;
  for (; out + kOutputs <= end; out += kOutputs) {
    const float* w = weight + out * C_in;
    for (int64_t n = 0; n < N; ++n) {
      const float* x = args.x.as<float>() + n * C_in;
      float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
      for (int64_t c = 0; c < C_in; ++c) {
        sum0 += x[c] * w[c];
        sum1 += x[c] * w[C_in + c];
        sum2 += x[c] * w[2 * C_in + c];
        sum3 += x[c] * w[3 * C_in + c];
      }
      float* to = y + n * C_out + out;
      to[0] = sum0;
      to[1] = sum1;
      to[2] = sum2;
      to[3] = sum3;
    }
  }
  for (; out < end; ++out) {
    for (int64_t n = 0; n < N; ++n) {
      const float* x = args.x.as<float>() + n * C_in;
      const float* w = weight + out * C_in;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < C_in; ++c) sum += x[c] * w[c];
      y[n * C_out + out] = sum;
    }
  }
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
  if (N <= kFewRows) {
    constexpr int64_t kBlock = 64;
#pragma omp parallel for schedule(static) if (C_in * C_out > kParallelElements)
    for (int64_t out = 0; out < C_out; out += kBlock) {
      multiply_few_rows(args, out, std::min(C_out, out + kBlock), product);
    }
  } else {
    multiply(N, C_out, C_in, {args.x.as<float>(), CblasNoTrans, C_in}, {args.weight.as<float>(), CblasTrans, C_in},
             0.0f, product);
  }
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
