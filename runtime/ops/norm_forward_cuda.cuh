// Forward of layer_norm and rms_norm on the GPU: each row is read once and held in the registers of one warp, or of
// the warps of one block; rows too long for that, or not aligned, are read again for each pass. Both forms give the
// same bits: they add in one order, and the fused multiply-adds are written out. Formulas: layer_norm.h, rms_norm.h.
#pragma once

#include "runtime/cuda/launch.cuh"
#include "runtime/ops/norm_rows_cuda.cuh"

namespace trireme::runtime::cuda {

/// Operands of a forward pass. Null are branch and sum (together), and without mean bias and mean.
template <typename T>
struct NormForwardRows {
  const T* residual;
  const T* branch;
  const T* weight;
  const T* bias;
  T* sum;
  T* y;
  float* mean;
  float* rstd;
  int64_t N;
  int64_t C;
  float epsilon;
  bool aligned;
};

/// residual + branch, rounded to the storage: from here on the stored sum is what counts.
template <typename T>
__device__ __forceinline__ uint4 add_words(uint4 residual, uint4 branch) {
  Vector<T> sum = unpack(residual, T{});
  const Vector<T> added = unpack(branch, T{});
#pragma unroll
  for (int i = 0; i < kVectorElements<T>; ++i) sum[i] += added[i];
  return pack(sum);
}

/// The sum of a vector added to `sum`; what is outside the row is 0.
template <typename T>
__device__ __forceinline__ float add_elements(uint4 words, float sum) {
  const Vector<T> x = unpack(words, T{});
#pragma unroll
  for (int i = 0; i < kVectorElements<T>; ++i) sum += x[i];
  return sum;
}

/// The squares of (x - mean) of the `inside` first elements added to `sum`.
template <typename T>
__device__ __forceinline__ float add_squares(uint4 words, float mean, int inside, float sum) {
  const Vector<T> x = unpack(words, T{});
#pragma unroll
  for (int i = 0; i < kVectorElements<T>; ++i) {
    const float centred = i < inside ? x[i] - mean : 0.0f;
    sum = fmaf(centred, centred, sum);
  }
  return sum;
}

template <typename T, bool kCentred>
__device__ __forceinline__ uint4 normalise(uint4 words, float mean, float rstd, uint4 weight_words, uint4 bias_words) {
  const Vector<T> x = unpack(words, T{});
  const Vector<T> weight = unpack(weight_words, T{});
  const Vector<T> bias = unpack(bias_words, T{});
  Vector<T> y;
#pragma unroll
  for (int i = 0; i < kVectorElements<T>; ++i) {
    if constexpr (kCentred) {
      y[i] = fmaf((x[i] - mean) * rstd, weight[i], bias[i]);
    } else {
      y[i] = x[i] * rstd * weight[i];
    }
  }
  return pack(y);
}

/// mean and rstd by one thread of the row.
template <typename T, bool kCentred>
__device__ __forceinline__ void store_statistics(const NormForwardRows<T>& rows, int64_t row, float mean, float rstd) {
  if constexpr (kCentred) rows.mean[row] = mean;
  rows.rstd[row] = rstd;
}

inline constexpr int kForwardVectors = 4;  // of a row in a thread's registers
inline constexpr int kWarpRowsOfBlock = 4;

/// Over the warp that holds the row, or over the block, all of whose threads call. `partial` is shared memory that is
/// not used again before the next barrier.
__device__ __forceinline__ float row_sum(float x, int warps, float* partial) {
  return warps == 1 ? warp_sum(x) : block_sum(x, partial);
}

/// A warp a row, blockDim / 32 rows a block, or with warps > 1 a row a block. The variance is that of the held row
/// minus its mean: two passes over registers.
template <typename T, bool kCentred>
__global__ void __launch_bounds__(kMostRowThreads, 2) norm_held_rows(NormForwardRows<T> rows, int warps) {
  __shared__ float partial[2][kMostRowWarps];
  const int threads = warps * static_cast<int>(kWarp);
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / threads) + threadIdx.x / threads;
  if (row >= rows.N) return;  // only where a warp holds a row: then there are no barriers
  const RowShare<T> share{static_cast<int>(rows.C), static_cast<int>(threadIdx.x) % threads, threads};
  const int64_t begin = row * rows.C;

  uint4 x[kForwardVectors];
  share.load_all(rows.residual + begin, x);
  if (rows.branch != nullptr) {
    uint4 branch[kForwardVectors];
    share.load_all(rows.branch + begin, branch);
#pragma unroll
    for (int v = 0; v < kForwardVectors; ++v) {
      x[v] = add_words<T>(x[v], branch[v]);
      if (share.has(v)) share.store(rows.sum + begin, v, x[v]);
    }
  }

  float mean = 0.0f;
  if constexpr (kCentred) {
    float sum = 0.0f;
#pragma unroll
    for (int v = 0; v < kForwardVectors; ++v) sum = add_elements<T>(x[v], sum);
    mean = row_sum(sum, warps, partial[0]) / static_cast<float>(share.C);
  }
  float squares = 0.0f;
#pragma unroll
  for (int v = 0; v < kForwardVectors; ++v)
    if (share.has(v)) squares = add_squares<T>(x[v], mean, kVectorElements<T>, squares);
  squares = row_sum(squares, warps, partial[1]);
  const float rstd = 1.0f / sqrtf(squares / static_cast<float>(share.C) + rows.epsilon);
  if (share.thread == 0) store_statistics<T, kCentred>(rows, row, mean, rstd);

#pragma unroll
  for (int v = 0; v < kForwardVectors; ++v) {
    if (!share.has(v)) continue;
    const uint4 weight = share.load(rows.weight, v);
    const uint4 bias = kCentred ? share.load(rows.bias, v) : uint4{};
    share.store(rows.y + begin, v, normalise<T, kCentred>(x[v], mean, rstd, weight, bias));
  }
}

/// The same for any rows, one a block: each pass reads the row again, from a cache where that is large enough.
template <typename T, bool kCentred>
__global__ void __launch_bounds__(kMostRowThreads) norm_reread_rows(NormForwardRows<T> rows) {
  __shared__ float partial[2][kMostRowWarps];
  const int64_t row = blockIdx.x;
  const AnyRowShare<T> share = share_of_block<T>(rows.C, rows.aligned);
  const int64_t begin = row * rows.C;
  const T* x = rows.residual + begin;
  if (rows.branch != nullptr) {
    for (int v = 0; share.has(v); ++v) {
      const uint4 sum = add_words<T>(share.load(x, v), share.load(rows.branch + begin, v));
      share.store(rows.sum + begin, v, sum);
    }
    x = rows.sum + begin;  // each thread reads what it wrote itself
  }

  float mean = 0.0f;
  if constexpr (kCentred) {
    float sum = 0.0f;
    for (int v = 0; share.has(v); ++v) sum = add_elements<T>(share.load(x, v), sum);
    mean = block_sum(sum, partial[0]) / static_cast<float>(share.C);
  }
  float squares = 0.0f;
  for (int v = 0; share.has(v); ++v) squares = add_squares<T>(share.load(x, v), mean, share.inside(v), squares);
  squares = block_sum(squares, partial[1]);
  const float rstd = 1.0f / sqrtf(squares / static_cast<float>(share.C) + rows.epsilon);
  if (share.thread == 0) store_statistics<T, kCentred>(rows, row, mean, rstd);

  for (int v = 0; share.has(v); ++v) {
    const uint4 weight = share.load(rows.weight, v);
    const uint4 bias = kCentred ? share.load(rows.bias, v) : uint4{};
    share.store(rows.y + begin, v, normalise<T, kCentred>(share.load(x, v), mean, rstd, weight, bias));
  }
}

/// Queues the forward pass. kCentred: with mean and bias, which is layer_norm.
template <bool kCentred, typename T>
void norm_forward(CudaQueue& queue, const NormForwardRows<T>& rows) {
  if (rows.N == 0 || rows.C == 0) return;
  const auto [warps, held] = plan_rows<T>(rows.C, kForwardVectors, rows.aligned);
  const int64_t rows_of_block = held && warps == 1 ? kWarpRowsOfBlock : 1;
  const Grid grid{.blocks = dim3(blocks_for(rows.N, rows_of_block)),
                  .threads = dim3(static_cast<unsigned>(rows_of_block * warps * kWarp))};
  if (held) {
    launch(queue, grid, norm_held_rows<T, kCentred>, rows, warps);
  } else {
    launch(queue, grid, norm_reread_rows<T, kCentred>, rows);
  }
}

}  // namespace trireme::runtime::cuda
