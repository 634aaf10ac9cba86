// Small kernels on which the emulation itself is tested: right ones, and ones with one mistake each.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "runtime/bf16.h"

namespace trireme::selftest {

/// y[i] = x[i] + by over n numbers.
cudaError_t add(const float* x, float by, float* y, int64_t n, cudaStream_t stream);

/// sums[b] = the sum of the 256 numbers from x + 256 b, through shuffles and shared memory.
cudaError_t sum_blocks(const float* x, float* sums, int blocks, cudaStream_t stream);

/// indices[i] = i, each written by the thread whose place in a grid of (2, 3, 2) blocks of (5, 3, 3) threads is i.
cudaError_t number_threads(int* indices, cudaStream_t stream);

/// One warp; results (7, 32): xor 1; xor 8 of width 8; up 3 of width 8; down 3 of width 8; lane 13 of width 8; votes of
/// the odd lanes; the highest lane that all have seen by an atomic. Each of the lane's own number.
cudaError_t shuffle(int* results, cudaStream_t stream);

/// counts (3) of one block of `threads`: threads with an odd index, whether any has index 70, whether all are below 96.
cudaError_t vote(int* counts, int threads, cudaStream_t stream);

/// d (16, 8) fp32 = a (16, 16) b^T with b (8, 16), both bf16 by rows: through asynchronous copies, ldmatrix and mma.
/// Rows lie `stride` elements apart in shared memory. `waits`: as it must be; else without waiting for the copies.
cudaError_t product_tile(const runtime::bf16* a, const runtime::bf16* b, float* d, int stride, bool waits,
                         cudaStream_t stream);

/// The same with b (16, 8) by rows, loaded transposed.
cudaError_t product_tile_transposed(const runtime::bf16* a, const runtime::bf16* b, float* d, cudaStream_t stream);

/// y (n) = what n floats of dynamic shared memory hold at the start.
cudaError_t show_dynamic_memory(float* y, int n, cudaStream_t stream);
/// Dynamic shared memory that the launch asks for, after cudaFuncSetAttribute(allowed) where that is not 0.
cudaError_t use_dynamic_memory(int64_t bytes, int allowed, cudaStream_t stream);
/// A launch of an empty kernel.
cudaError_t launch_empty(dim3 grid, dim3 block, cudaStream_t stream);

enum class Mistake {
  barrier_of_one_warp,
  barrier_after_exit,
  barriers_at_two_places,
  absent_lane,
  missing_lanes,
  outside_of_mask,
  step_over_the_end,
  misaligned,
  shared_array,
  endless_stack,
};
/// One block of 64 threads that makes the mistake; y (64).
cudaError_t make_mistake(Mistake mistake, float* y, cudaStream_t stream);

}  // namespace trireme::selftest
