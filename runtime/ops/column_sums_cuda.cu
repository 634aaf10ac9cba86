#include "runtime/ops/column_sums_cuda.cuh"

#include <algorithm>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/vectors.cuh"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

constexpr int kRowThreads = 8;  // warps of a block: each adds up every eighth row of the block's
constexpr int kBlockThreads = kRowThreads * static_cast<int>(kWarp);
constexpr int64_t kMostGroups = 64;  // of rows, a block each: some hundred blocks for the narrowest layers
constexpr int64_t kLeastRows = 2 * kRowThreads;
constexpr int64_t kMostPartials = int64_t{1} << 23;  // what fits into 32 MiB

int64_t most_groups(int64_t C) {
  return std::clamp<int64_t>(kMostPartials / C, 1, kMostGroups);
}

/// How rows are cut; by the shape only.
struct RowGroups {
  int64_t rows;
  int64_t count;
};
RowGroups row_groups(int64_t N, int64_t C) {
  const int64_t most = most_groups(C);
  const int64_t rows = std::max(kLeastRows, (N + most - 1) / most);
  return {rows, (N + rows - 1) / rows};
}

/// What a thread reads at once: 16 bytes, or one element where rows are not aligned to that.
template <typename T, bool kVectors>
struct Read {
  static constexpr int kElements = kVectors ? kVectorElements<T> : 1;
  static __device__ __forceinline__ void add(const T* from, float (&sums)[kElements]) {
    if constexpr (kVectors) {
      const Vector<T> v = load_vector(from);
#pragma unroll
      for (int e = 0; e < kElements; ++e) sums[e] += v[e];
    } else {
      sums[0] += to_float(*from);
    }
  }
};

/// partials (groups, C): block (x, y) sums columns from x * 32 * kElements of the rows of group y. Lanes lie along the
/// columns, warps take rows in turn, and the sums of the warps are added in their order.
template <typename T, bool kVectors>
__global__ void __launch_bounds__(kBlockThreads)
    column_sums_of_groups(const T* dy, int64_t N, int64_t C, int64_t rows_per_group, float* partials) {
  constexpr int kElements = Read<T, kVectors>::kElements;
  constexpr int kColumns = static_cast<int>(kWarp) * kElements;
  __shared__ float warps[kRowThreads][kElements][kWarp + 1];  // + 1: the transposed read meets fewer banks twice
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int warp = static_cast<int>(threadIdx.x / kWarp);
  const int64_t first = int64_t{blockIdx.x} * kColumns;
  const int64_t column = first + lane * kElements;
  const int64_t begin = int64_t{blockIdx.y} * rows_per_group;
  const int64_t end = begin + rows_per_group < N ? begin + rows_per_group : N;

  float sums[kElements] = {};
  if (column < C) {
#pragma unroll 4
    for (int64_t n = begin + warp; n < end; n += kRowThreads) Read<T, kVectors>::add(dy + n * C + column, sums);
  }
#pragma unroll
  for (int e = 0; e < kElements; ++e) warps[warp][e][lane] = sums[e];
  __syncthreads();

  const int c = static_cast<int>(threadIdx.x);
  if (c >= kColumns || first + c >= C) return;
  float sum = warps[0][c % kElements][c / kElements];
#pragma unroll
  for (int w = 1; w < kRowThreads; ++w) sum += warps[w][c % kElements][c / kElements];
  partials[int64_t{blockIdx.y} * C + first + c] = sum;
}

/// sums (C) += partials (groups, C), added up first to last.
__global__ void __launch_bounds__(kBlockThreads)
    add_groups(const float* partials, int64_t groups, int64_t C, float* sums) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= C) return;
  float sum = 0;
#pragma unroll 8
  for (int64_t g = 0; g < groups; ++g) sum += partials[g * C + c];
  sums[c] += sum;
}

void add_groups_of(CudaQueue& queue, const float* partials, int64_t groups, int64_t C, float* sums) {
  constexpr int kThreads = 64;  // a layer has few columns: many small blocks reach more of the GPU
  launch(queue, {.blocks = {blocks_for(C, kThreads)}, .threads = {kThreads}}, add_groups, partials, groups, C, sums);
}

/// One row to a block.y, wrapped around: the y axis of a grid ends at 65,535.
template <typename T>
__global__ void __launch_bounds__(kBlockThreads) rows_of(const T* bias, int64_t N, int64_t C, T* y) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= C) return;
  const T value = bias[c];
  for (int64_t n = blockIdx.y; n < N; n += gridDim.y) y[n * C + c] = value;
}

}  // namespace

int64_t column_sums_scratch(int64_t C) {
  return C == 0 ? 0 : most_groups(C) * C;
}

void add_column_sums(CudaQueue& queue, ConstView dy, float* sums, float* scratch) {
  const int64_t N = dy.shape[0];
  const int64_t C = dy.shape[1];
  if (N == 0 || C == 0) return;
  const RowGroups groups = row_groups(N, C);
  with_storage(dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = dy.as<T>();
    const bool vectors = fits_vectors<T>(C, from);
    const int64_t columns = static_cast<int64_t>(kWarp) * (vectors ? kVectorElements<T> : 1);
    const Grid grid{.blocks = {blocks_for(C, columns), static_cast<unsigned>(groups.count)},
                    .threads = {static_cast<unsigned>(kBlockThreads)}};
    launch(queue, grid, vectors ? column_sums_of_groups<T, true> : column_sums_of_groups<T, false>, from, N, C,
           groups.rows, scratch);
  });
  add_groups_of(queue, scratch, groups.count, C, sums);
}

void add_to_sums(CudaQueue& queue, const float* terms, float* sums, int64_t count) {
  if (count > 0) add_groups_of(queue, terms, 1, count, sums);
}

void copy_to_rows(CudaQueue& queue, ConstView bias, View y) {
  constexpr int64_t kMostRows = 1024;
  const int64_t N = y.shape[0];
  const int64_t C = y.shape[1];
  if (N == 0 || C == 0) return;
  const Grid grid{.blocks = {blocks_for(C, kBlockThreads), static_cast<unsigned>(std::min(N, kMostRows))},
                  .threads = {static_cast<unsigned>(kBlockThreads)}};
  with_storage(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(queue, grid, rows_of<T>, bias.as<T>(), N, C, y.as<T>());
  });
}

}  // namespace trireme::runtime::cuda
