#include "runtime/ops/linear_cpu.h"

#include <algorithm>
#include <cstdint>

#include "runtime/ops/check.h"
#include "runtime/ops/linear_epilogue_cpu.h"
#include "runtime/ops/matrix_product_cpu.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kParallelElements = 1 << 14;  // fewer are done sooner than other threads wake up

/// sums += column sums of `rows` rows. Row by row in blocks, block sums added in order: the rounding error grows with
/// the number of blocks instead of rows, and no order depends on the threads.
constexpr int64_t kSumColumns = 64;
constexpr int64_t kSumRows = 128;
template <typename T>
TRIREME_SIMD void add_column_sums(const T* dy, int64_t row, int64_t rows, int64_t columns, float* sums) {
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

/// product (N, kFewOutputs) = x w^T for a few rows of x and some outputs. Decoding reads each weight for one or a few
/// tokens: the time is that of reading the weights, which sgemm would first copy (N = 1: 1.5 ms for 9.4 MB, this loop
/// 0.66 ms).
constexpr int64_t kFewOutputs = 64;
constexpr int64_t kTogether = 4;  // dot products computed together
template <typename T>
TRIREME_SIMD void multiply_few_rows(const LinearForward& args, Range outputs, float* product) {
  const int64_t N = args.x.shape[0];
  const int64_t C_in = args.x.shape[1];
  const T* weight = args.weight.as<T>() + outputs.begin * C_in;
  int64_t out = 0;
  for (; out + kTogether <= outputs.count; out += kTogether) {
    const T* w = weight + out * C_in;
    for (int64_t n = 0; n < N; ++n) {
      const T* x = args.x.as<T>() + n * C_in;
      float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
      for (int64_t c = 0; c < C_in; ++c) {
        sum0 += x[c] * w[c];
        sum1 += x[c] * w[C_in + c];
        sum2 += x[c] * w[2 * C_in + c];
        sum3 += x[c] * w[3 * C_in + c];
      }
      float* to = product + n * kFewOutputs + out;
      to[0] = sum0;
      to[1] = sum1;
      to[2] = sum2;
      to[3] = sum3;
    }
  }
  for (; out < outputs.count; ++out) {
    for (int64_t n = 0; n < N; ++n) {
      const T* x = args.x.as<T>() + n * C_in;
      const T* w = weight + out * C_in;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < C_in; ++c) sum += x[c] * w[c];
      product[n * kFewOutputs + out] = sum;
    }
  }
}

void linear_forward_few_rows(const LinearForward& args) {
  const int64_t N = args.x.shape[0];
  const int64_t C_in = args.x.shape[1];
  const int64_t C_out = args.weight.shape[0];
#pragma omp parallel for schedule(static) if (C_in * C_out > kParallelElements)
  for (int64_t out = 0; out < C_out; out += kFewOutputs) {
    const Range outputs{out, std::min(kFewOutputs, C_out - out)};
    float product[kFewRows * kFewOutputs];
    with_storage(args.y.dtype, [&](auto zero) { multiply_few_rows<decltype(zero)>(args, outputs, product); });
    for (int64_t n = 0; n < N; ++n) store_outputs(args, n, outputs, product + n * kFewOutputs);
  }
}

void linear_forward_fp32(const LinearForward& args) {
  const int64_t N = args.x.shape[0];
  const int64_t C_in = args.x.shape[1];
  const int64_t C_out = args.weight.shape[0];
  float* product = (args.epilogue == Epilogue::bias_gelu ? args.pre_activation : args.y).as<float>();
  multiply({N, C_out, C_in}, {args.x.as<float>(), C_in, false}, {args.weight.as<float>(), C_in, true}, 0.0f, product,
           C_out);
  if (args.epilogue == Epilogue::none) return;
#pragma omp parallel for schedule(static) if (N * C_out > kParallelElements)
  for (int64_t n = 0; n < N; ++n) store_outputs(args, n, {0, C_out}, product + n * C_out);
}

}  // namespace

void linear_forward(const LinearForward& args, const ProductPanels& panels) {
  const int64_t N = args.x.shape[0];
  if (N == 0 || args.weight.shape[0] == 0) return;
  if (N <= kFewRows) {
    linear_forward_few_rows(args);
  } else if (args.y.dtype == DType::bf16) {
    linear_forward_bf16(args, panels);
  } else {
    linear_forward_fp32(args);
  }
}

void linear_backward_input(ConstView dy, ConstView weight, View dx, const ProductPanels& panels) {
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = weight.shape[1];
  if (N == 0 || C_in == 0) return;
  if (dx.dtype == DType::bf16) {
    linear_backward_input_bf16(dy, weight, dx, panels);
  } else {
    multiply({N, C_in, C_out}, {dy.as<float>(), C_out, false}, {weight.as<float>(), C_in, false}, 0.0f, dx.as<float>(),
             C_in);
  }
}

void linear_backward_weight(ConstView dy, ConstView x, View dweight, View dbias, const ProductPanels& panels) {
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = x.shape[1];
  if (N == 0 || C_out == 0) return;
  if (dy.dtype == DType::bf16) {
    linear_backward_weight_bf16(dy, x, dweight, panels);
  } else {
    multiply({C_out, C_in, N}, {dy.as<float>(), C_out, true}, {x.as<float>(), C_in, false}, 1.0f, dweight.as<float>(),
             C_in);
  }
  if (dbias.absent()) return;

  float* sums = dbias.as<float>();
  with_storage(dy.dtype, [&](auto zero) {
    const auto* gradient = dy.as<decltype(zero)>();
#pragma omp parallel for schedule(static) if (N * C_out > kParallelElements)
    for (int64_t c = 0; c < C_out; c += kSumColumns) {
      add_column_sums(gradient + c, C_out, N, std::min(kSumColumns, C_out - c), sums + c);
    }
  });
}

}  // namespace trireme::runtime::cpu
