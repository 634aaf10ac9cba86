#include "runtime/ops/gelu_cpu.h"

#include <algorithm>
#include <cstdint>

#include "runtime/ops/check.h"
#include "runtime/ops/gelu_function.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kChunk = 8192;  // elements a thread takes at a time: the cut does not depend on the threads

template <typename T>
TRIREME_SIMD void gelu_chunk(const T* x, T* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = gelu(x[i]);
}

template <typename T>
TRIREME_SIMD void gelu_backward_chunk(const T* x, const T* dy, T* dx, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * gelu_derivative(x[i]);
}

}  // namespace

void gelu_forward(ConstView x, View y) {
  const int64_t count = x.elements();
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.as<T>();
    T* to = y.as<T>();
#pragma omp parallel for schedule(static) if (count > kChunk)
    for (int64_t i = 0; i < count; i += kChunk) gelu_chunk(from + i, to + i, std::min(kChunk, count - i));
  });
}

void gelu_backward(ConstView x, ConstView dy, View dx) {
  const int64_t count = x.elements();
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* input = x.as<T>();
    const T* from = dy.as<T>();
    T* to = dx.as<T>();
#pragma omp parallel for schedule(static) if (count > kChunk)
    for (int64_t i = 0; i < count; i += kChunk) {
      gelu_backward_chunk(input + i, from + i, to + i, std::min(kChunk, count - i));
    }
  });
}

}  // namespace trireme::runtime::cpu
