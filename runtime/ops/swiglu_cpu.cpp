#include "runtime/ops/swiglu_cpu.h"

#include <cstdint>

#include "runtime/ops/check.h"
#include "runtime/ops/silu_function.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kWorthThreads = 8192;  // outputs

template <typename T>
TRIREME_SIMD void swiglu_row(const T* x, T* y, int64_t F) {
  const T* gate = x;
  const T* up = x + F;
#pragma omp simd
  for (int64_t i = 0; i < F; ++i) y[i] = silu(gate[i]) * up[i];
}

/// dx may be x: an element is read before it is written.
template <typename T>
TRIREME_SIMD void swiglu_backward_row(const T* x, const T* dy, T* dx, int64_t F) {
  const T* gate = x;
  const T* up = x + F;
  T* dgate = dx;
  T* dup = dx + F;
#pragma omp simd
  for (int64_t i = 0; i < F; ++i) {
    const float g = gate[i];
    const float d = dy[i];
    const float d_silu = d * up[i];
    dgate[i] = d_silu * silu_derivative(g);
    dup[i] = d * silu(g);
  }
}

}  // namespace

void swiglu_forward(ConstView x, View y) {
  const int64_t N = y.shape[0];
  const int64_t F = y.shape[1];
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for schedule(static) if (N * F > kWorthThreads)
    for (int64_t n = 0; n < N; ++n) swiglu_row(x.as<T>() + n * 2 * F, y.as<T>() + n * F, F);
  });
}

void swiglu_backward(ConstView x, ConstView dy, View dx) {
  const int64_t N = dy.shape[0];
  const int64_t F = dy.shape[1];
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for schedule(static) if (N * F > kWorthThreads)
    for (int64_t n = 0; n < N; ++n) {
      swiglu_backward_row(x.as<T>() + n * 2 * F, dy.as<T>() + n * F, dx.as<T>() + n * 2 * F, F);
    }
  });
}

}  // namespace trireme::runtime::cpu
