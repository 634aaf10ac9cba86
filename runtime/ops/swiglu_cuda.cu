#include "runtime/ops/swiglu_cuda.h"

#include "runtime/cuda/activations.cuh"
#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/vectors.cuh"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kForwardUnroll = 2;  // outputs in flight in a thread, of two loads each; backward has three loads of one

struct Gradients {
  float gate;
  float up;
};

__device__ __forceinline__ Gradients gradients_of(float gate, float up, float dy) {
  const SiluAndDerivative silu_of_gate = silu_and_derivative(gate);
  return {dy * up * silu_of_gate.derivative, dy * silu_of_gate.value};
}

/// Output i of rows of `width`, both in vectors or both in elements, has its gate here and its up `width` behind it.
__device__ __forceinline__ int64_t gate_of(int64_t i, int64_t width) {
  return i + i / width * width;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) swiglu_forward_kernel(const T* x, T* y, int64_t vectors, int64_t width) {
  constexpr int kVector = kVectorElements<T>;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kForwardUnroll * kThreads) + threadIdx.x;
  Vector<T> gate[kForwardUnroll];
  Vector<T> up[kForwardUnroll];
#pragma unroll
  for (int u = 0; u < kForwardUnroll; ++u) {
    const int64_t i = first + u * kThreads;
    if (i >= vectors) continue;
    const T* address = x + gate_of(i, width) * kVector;
    gate[u] = load_vector_streaming(address);
    up[u] = load_vector_streaming(address + width * kVector);
  }
#pragma unroll
  for (int u = 0; u < kForwardUnroll; ++u) {
    const int64_t i = first + u * kThreads;
    if (i >= vectors) continue;
    Vector<T> result;
#pragma unroll
    for (int j = 0; j < kVector; ++j) result[j] = silu(gate[u][j]) * up[u][j];
    store_vector(y + i * kVector, result);
  }
}

/// For rows that vectors do not fit: widths and addresses of any kind.
template <typename T>
__global__ void __launch_bounds__(kThreads) swiglu_forward_scalar_kernel(const T* x, T* y, int64_t n, int64_t width) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const T* address = x + gate_of(i, width);
  store(y + i, silu(to_float(address[0])) * to_float(address[width]));
}

/// dx may be x: a thread reads what it writes, and no other.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(const T* x, const T* dy, T* dx, int64_t vectors, int64_t width) {
  constexpr int kVector = kVectorElements<T>;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= vectors) return;
  const int64_t at = gate_of(i, width) * kVector;
  Vector<T> gate = load_vector_streaming(x + at);
  Vector<T> up = load_vector_streaming(x + at + width * kVector);
  const Vector<T> d = load_vector_streaming(dy + i * kVector);
#pragma unroll
  for (int j = 0; j < kVector; ++j) {
    const Gradients gradients = gradients_of(gate[j], up[j], d[j]);
    gate[j] = gradients.gate;
    up[j] = gradients.up;
  }
  store_vector(dx + at, gate);
  store_vector(dx + at + width * kVector, up);
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_scalar_kernel(const T* x, const T* dy, T* dx, int64_t n, int64_t width) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const int64_t at = gate_of(i, width);
  const Gradients gradients = gradients_of(to_float(x[at]), to_float(x[at + width]), to_float(dy[i]));
  store(dx + at, gradients.gate);
  store(dx + at + width, gradients.up);
}

}  // namespace

void swiglu_forward(CudaQueue& queue, ConstView x, View y) {
  const int64_t n = y.elements();
  const int64_t F = y.shape[1];
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kVector = kVectorElements<T>;
    if (fits_vectors<T>(F, x.data, y.data)) {
      const int64_t vectors = n / kVector;
      launch(queue, {.blocks = blocks_for(vectors, kForwardUnroll * kThreads), .threads = kThreads},
             swiglu_forward_kernel<T>, x.as<T>(), y.as<T>(), vectors, F / kVector);
    } else {
      launch(queue, {.blocks = blocks_for(n, kThreads), .threads = kThreads}, swiglu_forward_scalar_kernel<T>,
             x.as<T>(), y.as<T>(), n, F);
    }
  });
}

void swiglu_backward(CudaQueue& queue, ConstView x, ConstView dy, View dx) {
  const int64_t n = dy.elements();
  const int64_t F = dy.shape[1];
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kVector = kVectorElements<T>;
    if (fits_vectors<T>(F, x.data, dy.data, dx.data)) {
      const int64_t vectors = n / kVector;
      launch(queue, {.blocks = blocks_for(vectors, kThreads), .threads = kThreads}, swiglu_backward_kernel<T>,
             x.as<T>(), dy.as<T>(), dx.as<T>(), vectors, F / kVector);
    } else {
      launch(queue, {.blocks = blocks_for(n, kThreads), .threads = kThreads}, swiglu_backward_scalar_kernel<T>,
             x.as<T>(), dy.as<T>(), dx.as<T>(), n, F);
    }
  });
}

}  // namespace trireme::runtime::cuda
