#include "runtime/ops/positions_cuda.h"

#include "runtime/cuda/launch.cuh"

namespace trireme::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    fill_positions_kernel(int64_t first, int64_t T, int64_t n, int32_t* positions) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) positions[i] = static_cast<int32_t>(first + i % T);
}

}  // namespace

void fill_positions(CudaQueue& queue, int64_t first, int64_t T, View positions) {
  const int64_t n = positions.elements();
  launch(queue, {.blocks = blocks_for(n, kThreads), .threads = kThreads}, fill_positions_kernel, first, T, n,
         positions.as<int32_t>());
}

}  // namespace trireme::runtime::cuda
