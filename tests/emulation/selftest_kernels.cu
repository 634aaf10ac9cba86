#include "tests/emulation/selftest_kernels.h"

#include "runtime/cuda/intrinsics.cuh"

namespace trireme::selftest {

namespace {

using runtime::bf16;

constexpr unsigned kAllLanes = 0xffffffffu;

__global__ void __launch_bounds__(256) add_kernel(const float* x, float by, float* y, int64_t n) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i] + by;
}

__global__ void __launch_bounds__(256) sum_kernel(const float* __restrict__ x, float* __restrict__ sums) {
  __shared__ float of_warp[8];
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  float sum = x[256 * static_cast<int64_t>(blockIdx.x) + threadIdx.x];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
  if (lane == 0) of_warp[warp] = sum;
  __syncthreads();
  sum = of_warp[lane % 8];
#pragma unroll
  for (int step = 4; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step, 8);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void number_kernel(int* indices) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned index = block * blockDim.x * blockDim.y * blockDim.z + thread;
  indices[index] = static_cast<int>(index);
}

__global__ void shuffle_kernel(int* results) {
  __shared__ int highest;
  const int lane = static_cast<int>(threadIdx.x);
  results[lane] = __shfl_xor_sync(kAllLanes, lane, 1);
  results[32 + lane] = __shfl_xor_sync(kAllLanes, lane, 8, 8);
  results[64 + lane] = __shfl_up_sync(kAllLanes, lane, 3u, 8);
  results[96 + lane] = __shfl_down_sync(kAllLanes, lane, 3u, 8);
  results[128 + lane] = static_cast<int>(__shfl_sync(kAllLanes, static_cast<long long>(lane), 13, 8));
  results[160 + lane] = static_cast<int>(__ballot_sync(kAllLanes, lane % 2));
  if (lane == 0) highest = 0;
  __syncwarp();
  atomicMax(&highest, lane);
  __syncwarp();
  results[192 + lane] = highest;
}

__global__ void vote_kernel(int* counts) {
  const int odd = __syncthreads_count(threadIdx.x % 2);
  const int any = __syncthreads_or(threadIdx.x == 70);
  const int all = __syncthreads_and(threadIdx.x < 96);
  if (threadIdx.x == 0) {
    counts[0] = odd;
    counts[1] = any != 0;
    counts[2] = all != 0;
  }
}

/// Where lane's row of the four matrices begins that ldmatrix loads of a (16, 16) tile: upper left, lower left, right.
__device__ const bf16* row_of_a(const bf16* tile, int stride) {
  const int lane = static_cast<int>(threadIdx.x);
  return tile + lane % 16 * stride + lane / 16 * 8;
}

__device__ void store_tile(const float (&sums)[4], float* d) {
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; ++i) d[(lane / 4 + 8 * (i / 2)) * 8 + 2 * (lane % 4) + i % 2] = sums[i];
}

__global__ void tile_kernel(const bf16* a, const bf16* b, float* d, int stride, bool waits) {
  bf16* a_tile = runtime::cuda::dynamic_shared<bf16>();
  bf16* b_tile = a_tile + 16 * stride;
  const int lane = static_cast<int>(threadIdx.x);
  runtime::cuda::copy_async_16(a_tile + lane / 2 * stride + lane % 2 * 8, a + lane * 8, true);
  // Rows 8 to 15 of b do not exist: zeros.
  runtime::cuda::copy_async_16(b_tile + lane / 2 * stride + lane % 2 * 8, b + lane * 8, lane < 16);
  runtime::cuda::copy_async_commit();
  if (waits) runtime::cuda::copy_async_wait<0>();
  __syncthreads();
  uint32_t a_words[4];
  uint32_t b_words[4];
  runtime::cuda::ldmatrix_x4(a_words, row_of_a(a_tile, stride));
  runtime::cuda::ldmatrix_x4(b_words, row_of_a(b_tile, stride));
  const uint32_t b_pair[2] = {b_words[0], b_words[2]};  // rows 0 to 7, both halves of k
  float sums[4] = {};
  runtime::cuda::mma_m16n8k16(sums, a_words, b_pair);
  store_tile(sums, d);
}

__global__ void transposed_tile_kernel(const bf16* a, const bf16* b, float* d) {
  __shared__ __align__(128) bf16 a_tile[16 * 24];
  __shared__ __align__(128) bf16 b_tile[16 * 8];
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) a_tile[i / 16 * 24 + i % 16] = a[i];
  for (int i = lane; i < 128; i += 32) b_tile[i] = b[i];
  __syncthreads();
  uint32_t a_words[4];
  uint32_t b_words[4];
  runtime::cuda::ldmatrix_x4(a_words, row_of_a(a_tile, 24));
  runtime::cuda::ldmatrix_x4_transposed(b_words, b_tile + lane % 16 * 8);  // words 2 and 3 are not used
  const uint32_t b_pair[2] = {b_words[0], b_words[1]};
  float sums[4] = {};
  runtime::cuda::mma_m16n8k16(sums, a_words, b_pair);
  store_tile(sums, d);
}

__global__ void dynamic_kernel(float* y, int n) {
  const float* memory = runtime::cuda::dynamic_shared<float>();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += 32) y[i] = memory[i];
}

__global__ void large_kernel(int64_t bytes) {
  unsigned char* memory = runtime::cuda::dynamic_shared<unsigned char>();
  if (bytes > 0) memory[bytes - 1] = 1;
}

__global__ void empty_kernel() {}

__device__ int deeper(int depth) {
  volatile int frame[64];
  frame[depth % 64] = depth;
  return depth < 1 << 20 ? deeper(depth + 1) + frame[depth % 64] : 0;
}

__global__ void mistake_kernel(Mistake mistake, float* y) {
  __shared__ float shared[64];
  const int i = static_cast<int>(threadIdx.x);
  shared[i] = static_cast<float>(i);
  if (mistake == Mistake::barrier_of_one_warp && i < 32) __syncthreads();
  if (mistake == Mistake::barrier_after_exit && i == 40) return;
  if (mistake == Mistake::barrier_after_exit) __syncthreads();
  if (mistake == Mistake::barriers_at_two_places) {
    if (i < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  }
  if (mistake == Mistake::absent_lane && i < 16) y[i] = __shfl_sync(0xffffu, y[i], 20);
  if (mistake == Mistake::missing_lanes) {
    if (i < 20) y[i] = __shfl_xor_sync(kAllLanes, y[i], 1);
    __syncthreads();
  }
  if (mistake == Mistake::outside_of_mask) y[i] = __shfl_xor_sync(0xffffu, y[i], 1);
  if (mistake == Mistake::step_over_the_end) y[i + 1] = 0;
  if (mistake == Mistake::misaligned) *reinterpret_cast<float4*>(y + 1) = make_float4(0, 0, 0, 0);
  if (mistake == Mistake::shared_array) y[i] = shared[i + 8];
  if (mistake == Mistake::endless_stack) y[i] = static_cast<float>(deeper(i));
}

cudaLaunchConfig_t configuration(dim3 grid, dim3 block, size_t dynamic_bytes, cudaStream_t stream) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_bytes;
  config.stream = stream;
  return config;
}

}  // namespace

cudaError_t add(const float* x, float by, float* y, int64_t n, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(static_cast<unsigned>((n + 255) / 256), 256, 0, stream);
  return cudaLaunchKernelEx(&config, add_kernel, x, by, y, n);
}

cudaError_t sum_blocks(const float* x, float* sums, int blocks, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(static_cast<unsigned>(blocks), 256, 0, stream);
  return cudaLaunchKernelEx(&config, sum_kernel, x, sums);
}

cudaError_t number_threads(int* indices, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(dim3(2, 3, 2), dim3(5, 3, 3), 0, stream);
  return cudaLaunchKernelEx(&config, number_kernel, indices);
}

cudaError_t shuffle(int* results, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(1, 32, 0, stream);
  return cudaLaunchKernelEx(&config, shuffle_kernel, results);
}

cudaError_t vote(int* counts, int threads, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(1, static_cast<unsigned>(threads), 0, stream);
  return cudaLaunchKernelEx(&config, vote_kernel, counts);
}

cudaError_t product_tile(const bf16* a, const bf16* b, float* d, int stride, bool waits, cudaStream_t stream) {
  const size_t bytes = sizeof(bf16) * 32 * static_cast<size_t>(stride);
  const cudaLaunchConfig_t config = configuration(1, 32, bytes, stream);
  return cudaLaunchKernelEx(&config, tile_kernel, a, b, d, stride, waits);
}

cudaError_t product_tile_transposed(const bf16* a, const bf16* b, float* d, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(1, 32, 0, stream);
  return cudaLaunchKernelEx(&config, transposed_tile_kernel, a, b, d);
}

cudaError_t show_dynamic_memory(float* y, int n, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(1, 32, sizeof(float) * static_cast<size_t>(n), stream);
  return cudaLaunchKernelEx(&config, dynamic_kernel, y, n);
}

cudaError_t use_dynamic_memory(int64_t bytes, int allowed, cudaStream_t stream) {
  if (allowed > 0) {
    const cudaError_t set = cudaFuncSetAttribute(large_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, allowed);
    if (set != cudaSuccess) return set;
  }
  const cudaLaunchConfig_t config = configuration(1, 1, static_cast<size_t>(bytes), stream);
  return cudaLaunchKernelEx(&config, large_kernel, bytes);
}

cudaError_t launch_empty(dim3 grid, dim3 block, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(grid, block, 0, stream);
  return cudaLaunchKernelEx(&config, empty_kernel);
}

cudaError_t make_mistake(Mistake mistake, float* y, cudaStream_t stream) {
  const cudaLaunchConfig_t config = configuration(1, 64, 0, stream);
  return cudaLaunchKernelEx(&config, mistake_kernel, mistake, y);
}

}  // namespace trireme::selftest
