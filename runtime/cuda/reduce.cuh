// Sums and maxima over a warp and over a block, in a fixed order: the same bits in every run.
#pragma once

#include <cuda_runtime.h>

namespace trireme::runtime::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

/// Every lane receives the sum over its group of `lanes` neighbours, a power of two. The whole warp calls.
template <typename T>
__device__ __forceinline__ T lanes_sum(T x, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(kAllLanes, x, mask);
  return x;
}
template <typename T>
__device__ __forceinline__ T warp_sum(T x) {
  return lanes_sum(x, static_cast<int>(kWarp));
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, mask));
  return x;
}

/// Every thread of the block (a multiple of 32, all of them call) receives the sum. `warps` is shared memory of a value
/// a warp; it may be used again after the next barrier.
template <typename T>
__device__ __forceinline__ T block_sum(T x, T* warps) {
  x = warp_sum(x);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  T sum = warps[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) sum += warps[warp];
  return sum;
}

__device__ __forceinline__ float block_max(float x, float* warps) {
  x = warp_max(x);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  float most = warps[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) most = fmaxf(most, warps[warp]);
  return most;
}

}  // namespace trireme::runtime::cuda
