// Launching a kernel on a queue. The only way to launch one: it checks for errors, and the emulation of the tests has
// its twin of cudaLaunchKernelEx.
#pragma once

#include <cuda_runtime.h>

#include "runtime/cuda/error.cuh"
#include "runtime/cuda/queue.cuh"

namespace trireme::runtime::cuda {

struct Grid {
  dim3 blocks;
  dim3 threads;
  int64_t shared_bytes = 0;  ///< dynamic shared memory of a block
};

/// Blocks of `size` for n elements, at least one.
inline unsigned blocks_for(int64_t n, int64_t size) {
  return static_cast<unsigned>(n <= size ? 1 : (n + size - 1) / size);
}

/// Queues kernel<<<grid>>>(arguments...). Dynamic shared memory is allowed to the kernel on the way: what needs no
/// leave is 48 KiB of dynamic and static shared memory together, of which only the compiler knows the second.
template <typename... Parameters, typename... Arguments>
void launch(CudaQueue& queue, const Grid& grid, void (*kernel)(Parameters...), Arguments&&... arguments) {
  if (grid.shared_bytes > 0) {
    TRIREME_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(grid.shared_bytes)));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = static_cast<size_t>(grid.shared_bytes);
  config.stream = queue.stream();
  TRIREME_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

}  // namespace trireme::runtime::cuda
