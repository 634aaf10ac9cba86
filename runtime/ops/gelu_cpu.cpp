#include "runtime/ops/gelu_cpu.h"

#include <algorithm>
#include <cstdint>

#include "runtime/ops/gelu_function.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kChunk = 8192;  // elements a thread takes at a time: the cut does not depend on the threads

TRIREME_SIMD void gelu_chunk(const float* x, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = gelu(x[i]);
}

TRIREME_SIMD void gelu_backward_chunk(const float* x, const float* dy, float* dx, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * gelu_derivative(x[i]);
}

}  // namespace

void gelu_forward(ConstView x, View y) {
  const float* from = x.as<float>();
  float* to = y.as<float>();
  const int64_t count = x.elements();
#pragma omp parallel for schedule(static) if (count > kChunk)
  for (int64_t i = 0; i < count; i += kChunk) gelu_chunk(from + i, to + i, std::min(kChunk, count - i));
}

void gelu_backward(ConstView x, ConstView dy, View dx) {
  const float* input = x.as<float>();
  const float* from = dy.as<float>();
  float* to = dx.as<float>();
  const int64_t count = x.elements();
#pragma omp parallel for schedule(static) if (count > kChunk)
  for (int64_t i = 0; i < count; i += kChunk) {
    gelu_backward_chunk(input + i, from + i, to + i, std::min(kChunk, count - i));
  }
}

}  // namespace trireme::runtime::cpu
