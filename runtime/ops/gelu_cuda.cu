#include "runtime/ops/gelu_cuda.h"

#include "runtime/cuda/activations.cuh"
#include "runtime/cuda/map.cuh"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

struct GeluForward {
  static __device__ __forceinline__ float of(const float (&x)[1]) { return gelu(x[0]); }
};

struct GeluBackward {
  static __device__ __forceinline__ float of(const float (&x_dy)[2]) { return x_dy[1] * gelu_derivative(x_dy[0]); }
};

}  // namespace

void gelu_forward(CudaQueue& queue, ConstView x, View y) {
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    map<GeluForward>(queue, x.elements(), y.as<T>(), x.as<T>());
  });
}

void gelu_backward(CudaQueue& queue, ConstView x, ConstView dy, View dx) {
  with_storage(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    map<GeluBackward>(queue, x.elements(), dx.as<T>(), x.as<T>(), dy.as<T>());
  });
}

}  // namespace trireme::runtime::cuda
