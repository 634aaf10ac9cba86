// Backward of layer_norm and rms_norm on the GPU. With g = dy * weight and n the normalised row, layer_norm's
//   dx = rstd * (g - mean(g) - n * mean(g n)) + dresidual,  dweight += sum over rows of dy n,  dbias += sum of dy;
// rms_norm lacks mean(g) and dbias. A fixed number of blocks walks over the rows; each keeps the column sums of its
// rows in registers while the next rows are on their way into shared memory, and writes one row of partial sums. A
// second kernel adds those up in order. So every sum has one order, whatever the GPU. Rows too long for that, or not
// aligned, are read three times: twice for dx, once by columns.
#pragma once

#include <algorithm>

#include "runtime/cuda/launch.cuh"
#include "runtime/ops/layer_norm_cuda.h"
#include "runtime/ops/norm_rows_cuda.cuh"

namespace trireme::runtime::cuda {

/// Operands of a backward pass. dresidual may be null; without mean so are mean and dbias.
template <typename T>
struct NormBackwardRows {
  const T* dy;
  const T* sum;
  const T* weight;
  const float* mean;
  const float* rstd;
  const T* dresidual;
  T* dx;
  float* partials;  ///< a row a block: (C) of dweight, then with mean (C) of dbias
  float* dweight;
  float* dbias;
  int64_t N;
  int64_t C;
  bool aligned;
};

/// sum of g, and of g n, over a row or a part of it.
struct RowProducts {
  float g = 0.0f;
  float gn = 0.0f;
};

struct RowStatistics {
  float mean = 0.0f;
  float rstd = 0.0f;
};

/// Of a row; zeros beyond the last, which then adds nothing to any sum.
template <typename T, bool kCentred>
__device__ __forceinline__ RowStatistics statistics_of(const NormBackwardRows<T>& rows, int64_t row) {
  if (row >= rows.N) return {};
  return {kCentred ? rows.mean[row] : 0.0f, rows.rstd[row]};
}

__device__ __forceinline__ float normalised(float x, RowStatistics row) {
  return (x - row.mean) * row.rstd;
}

template <typename T>
__device__ __forceinline__ void add_products(const Vector<T>& dy, const Vector<T>& x, const Vector<T>& weight,
                                             RowStatistics row, RowProducts& products) {
#pragma unroll
  for (int i = 0; i < kVectorElements<T>; ++i) {
    const float g = dy[i] * weight[i];
    products.g += g;
    products.gn = fmaf(g, normalised(x[i], row), products.gn);
  }
}

/// `means`: of g and of g n over the whole row.
template <typename T, bool kCentred>
__device__ __forceinline__ Vector<T> input_gradient(const Vector<T>& dy, const Vector<T>& x, const Vector<T>& weight,
                                                    RowStatistics row, RowProducts means) {
  Vector<T> dx;
#pragma unroll
  for (int i = 0; i < kVectorElements<T>; ++i) {
    float g = dy[i] * weight[i];
    if constexpr (kCentred) g -= means.g;
    dx[i] = row.rstd * fmaf(-normalised(x[i], row), means.gn, g);
  }
  return dx;
}

/// Sums over the `warps` warps of a row; the row's first warp is `first_warp` of the block. `partial` is shared memory
/// that is not used again before the next barrier; with warps > 1 all threads of the block call.
template <bool kCentred>
__device__ __forceinline__ RowProducts row_products(RowProducts own, int first_warp, int warps, RowProducts* partial) {
  if constexpr (kCentred) own.g = warp_sum(own.g);
  own.gn = warp_sum(own.gn);
  if (warps == 1) return own;
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = own;
  __syncthreads();
  RowProducts sums = partial[first_warp];
  for (int warp = first_warp + 1; warp < first_warp + warps; ++warp) {
    sums.g += partial[warp].g;
    sums.gn += partial[warp].gn;
  }
  return sums;
}

inline constexpr int kBackwardVectors = 3;  // of a row in a thread: their column sums stay in registers
inline constexpr int kBackwardWarps = 8;    // of a block, where a row does not take more
inline constexpr int kStages = 2;           // rows in shared memory: one in work, one on its way
inline constexpr int kOperands = 3;         // dy, sum, dresidual

/// What one thread stages of coming rows, each vector in a place of its own: a thread reads only what it copied itself,
/// so that it needs no barrier.
template <typename T>
struct StagedRows {
  uint4* places;
  RowShare<T> share;

  __device__ __forceinline__ uint4* place(int stage, int operand, int v) const {
    return places + ((stage * kOperands + operand) * kBackwardVectors + v) * blockDim.x + threadIdx.x;
  }
  __device__ __forceinline__ Vector<T> read(int stage, int operand, int v) const {
    return unpack(*place(stage, operand, v), T{});
  }
  /// Starts one group of copies. Zeros beyond the last row.
  __device__ __forceinline__ void fetch(const NormBackwardRows<T>& rows, int stage, int64_t row) const {
    const bool valid = row < rows.N;
    const T* const operands[kOperands] = {rows.dy, rows.sum, rows.dresidual};
#pragma unroll
    for (int operand = 0; operand < kOperands; ++operand) {
      if (operands[operand] == nullptr) continue;
      const T* begin = operands[operand] + (valid ? row * rows.C : 0);
#pragma unroll
      for (int v = 0; v < kBackwardVectors; ++v)
        if (share.has(v)) copy_async_16(place(stage, operand, v), begin + share.column(v), valid);
    }
    copy_async_commit();
  }
};

/// C elements of a partial row: the sums of the teams (threads that share a row) of the block, added in their order.
/// All threads call. `shared`: kBackwardVectors vectors of fp32 a thread, free after the next barrier.
template <typename T>
__device__ __forceinline__ void write_partial_row(const RowShare<T>& share,
                                                  const float (&sums)[kBackwardVectors][kVectorElements<T>],
                                                  float* shared, float* partial_row) {
  const int team = static_cast<int>(threadIdx.x) / share.threads;
  const int teams = static_cast<int>(blockDim.x) / share.threads;
  const int width = kBackwardVectors * share.threads * kVectorElements<T>;
  __syncthreads();
#pragma unroll
  for (int v = 0; v < kBackwardVectors; ++v)
#pragma unroll
    for (int i = 0; i < kVectorElements<T>; ++i) shared[team * width + share.column(v) + i] = sums[v][i];
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < share.C; c += static_cast<int>(blockDim.x)) {
    float sum = shared[c];
    for (int other = 1; other < teams; ++other) sum += shared[other * width + c];
    partial_row[c] = sum;
  }
}

/// blockDim / (32 warps) teams a block, each with a row at a time; rows of all teams go on together. dx may be
/// dresidual: a row is staged and written by the same threads, and no other row is touched.
template <typename T, bool kCentred>
__global__ void __launch_bounds__(kMostRowThreads) norm_backward_held_rows(NormBackwardRows<T> rows, int warps) {
  constexpr int kElements = kVectorElements<T>;
  __shared__ RowProducts partial[kStages][kMostRowWarps];
  const int threads = warps * static_cast<int>(kWarp);
  const int team = static_cast<int>(threadIdx.x) / threads;
  const RowShare<T> share{static_cast<int>(rows.C), static_cast<int>(threadIdx.x) % threads, threads};
  const StagedRows<T> staged{dynamic_shared<uint4>(), share};
  const int64_t teams = blockDim.x / threads;
  const int64_t stride = teams * gridDim.x;

  uint4 weight[kBackwardVectors];
  share.load_all(rows.weight, weight);
  float dweight[kBackwardVectors][kElements] = {};
  float dbias[kBackwardVectors][kElements] = {};
  int stage = 0;
  staged.fetch(rows, stage, blockIdx.x * teams + team);
  RowStatistics coming = statistics_of<T, kCentred>(rows, blockIdx.x * teams + team);
  for (int64_t first = blockIdx.x * teams; first < rows.N; first += stride) {
    const int64_t row = first + team;
    const RowStatistics statistics = coming;
    staged.fetch(rows, 1 - stage, row + stride);
    coming = statistics_of<T, kCentred>(rows, row + stride);
    copy_async_wait<1>();

    RowProducts products;
#pragma unroll
    for (int v = 0; v < kBackwardVectors; ++v) {
      if (!share.has(v)) continue;
      const Vector<T> dy = staged.read(stage, 0, v);
      const Vector<T> x = staged.read(stage, 1, v);
      add_products(dy, x, unpack(weight[v], T{}), statistics, products);
#pragma unroll
      for (int i = 0; i < kElements; ++i) {
        dweight[v][i] = fmaf(dy[i], normalised(x[i], statistics), dweight[v][i]);
        if constexpr (kCentred) dbias[v][i] += dy[i];
      }
    }
    const RowProducts sums = row_products<kCentred>(products, team * warps, warps, partial[stage]);
    const RowProducts means{sums.g / static_cast<float>(share.C), sums.gn / static_cast<float>(share.C)};
#pragma unroll
    for (int v = 0; v < kBackwardVectors; ++v) {
      if (!share.has(v) || row >= rows.N) continue;
      Vector<T> dx = input_gradient<T, kCentred>(staged.read(stage, 0, v), staged.read(stage, 1, v),
                                                 unpack(weight[v], T{}), statistics, means);
      if (rows.dresidual != nullptr) {
        const Vector<T> dresidual = staged.read(stage, 2, v);
#pragma unroll
        for (int i = 0; i < kElements; ++i) dx[i] += dresidual[i];
      }
      share.store(rows.dx + row * rows.C, v, pack(dx));
    }
    stage = 1 - stage;
  }
  copy_async_wait<0>();

  float* partial_row = rows.partials + blockIdx.x * (kCentred ? 2 : 1) * rows.C;
  write_partial_row(share, dweight, dynamic_shared<float>(), partial_row);
  if constexpr (kCentred) write_partial_row(share, dbias, dynamic_shared<float>(), partial_row + rows.C);
}

/// dx of any rows, one a block, read twice.
template <typename T, bool kCentred>
__global__ void __launch_bounds__(kMostRowThreads) norm_backward_reread_rows(NormBackwardRows<T> rows) {
  __shared__ RowProducts partial[kMostRowWarps];
  const int64_t row = blockIdx.x;
  const AnyRowShare<T> share = share_of_block<T>(rows.C, rows.aligned);
  const T* dy = rows.dy + row * rows.C;
  const T* x = rows.sum + row * rows.C;
  const RowStatistics statistics = statistics_of<T, kCentred>(rows, row);
  RowProducts products;
  for (int v = 0; share.has(v); ++v) {
    add_products(unpack(share.load(dy, v), T{}), unpack(share.load(x, v), T{}), unpack(share.load(rows.weight, v), T{}),
                 statistics, products);
  }
  const RowProducts sums = row_products<kCentred>(products, 0, static_cast<int>(blockDim.x / kWarp), partial);
  const RowProducts means{sums.g / static_cast<float>(share.C), sums.gn / static_cast<float>(share.C)};
  for (int v = 0; share.has(v); ++v) {
    Vector<T> dx = input_gradient<T, kCentred>(unpack(share.load(dy, v), T{}), unpack(share.load(x, v), T{}),
                                               unpack(share.load(rows.weight, v), T{}), statistics, means);
    if (rows.dresidual != nullptr) {
      const Vector<T> dresidual = unpack(share.load(rows.dresidual + row * rows.C, v), T{});
#pragma unroll
      for (int i = 0; i < kVectorElements<T>; ++i) dx[i] += dresidual[i];
    }
    share.store(rows.dx + row * rows.C, v, pack(dx));
  }
}

inline constexpr int kColumnThreads = 256;

/// The partial sums of any rows: a thread a column (blockIdx.x), gridDim.y parts of the rows.
template <typename T, bool kCentred>
__global__ void __launch_bounds__(kColumnThreads) norm_column_sums(NormBackwardRows<T> rows) {
  const int64_t c = int64_t{blockIdx.x} * kColumnThreads + threadIdx.x;
  if (c >= rows.C) return;
  const int64_t rows_of_part = (rows.N + gridDim.y - 1) / gridDim.y;
  const int64_t begin = blockIdx.y * rows_of_part;
  const int64_t end = begin + rows_of_part < rows.N ? begin + rows_of_part : rows.N;
  float dweight = 0.0f;
  float dbias = 0.0f;
  for (int64_t row = begin; row < end; ++row) {
    const float dy = to_float(rows.dy[row * rows.C + c]);
    const float x = to_float(rows.sum[row * rows.C + c]);
    dweight = fmaf(dy, normalised(x, statistics_of<T, kCentred>(rows, row)), dweight);
    dbias += dy;
  }
  float* partial_row = rows.partials + blockIdx.y * (kCentred ? 2 : 1) * rows.C;
  partial_row[c] = dweight;
  if constexpr (kCentred) partial_row[rows.C + c] = dbias;
}

inline constexpr int kSumColumns = 32;  // of a block: 128 bytes of a partial row
inline constexpr int kSumSlices = 16;   // threads that share a column, each with consecutive partial rows

/// dweight and dbias += the sums of `count` partial rows: first within each slice, then the slices, in order.
template <bool kCentred>
__global__ void __launch_bounds__(kSumColumns* kSumSlices)
    norm_add_partials(const float* partials, int count, int64_t C, float* dweight, float* dbias) {
  __shared__ float slices[kSumSlices][kSumColumns];
  const int64_t width = kCentred ? 2 * C : C;
  const int lane = static_cast<int>(threadIdx.x) % kSumColumns;
  const int slice = static_cast<int>(threadIdx.x) / kSumColumns;
  const int64_t column = int64_t{blockIdx.x} * kSumColumns + lane;
  const int rows_of_slice = (count + kSumSlices - 1) / kSumSlices;
  const int begin = slice * rows_of_slice;
  const int end = begin + rows_of_slice < count ? begin + rows_of_slice : count;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 8
    for (int row = begin; row < end; ++row) sum += partials[row * width + column];
  }
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || column >= width) return;
  for (int other = 1; other < kSumSlices; ++other) sum += slices[other][lane];
  float& gradient = column < C ? dweight[column] : dbias[column - C];
  gradient += sum;
}

/// Queues the backward pass. kCentred: with mean and bias, which is layer_norm.
template <bool kCentred, typename T>
void norm_backward(CudaQueue& queue, const NormBackwardRows<T>& rows) {
  if (rows.N == 0 || rows.C == 0) return;
  const auto [warps, held] = plan_rows<T>(rows.C, kBackwardVectors, rows.aligned);
  const int64_t teams = held ? std::max<int64_t>(1, kBackwardWarps / warps) : 1;
  const int64_t partial_rows = std::min<int64_t>(blocks_for(rows.N, teams), kNormBackwardBlocks);
  const dim3 threads(static_cast<unsigned>(teams * warps * kWarp));
  if (held) {
    launch(queue,
           {.blocks = dim3(static_cast<unsigned>(partial_rows)),
            .threads = threads,
            .shared_bytes = kStages * kOperands * kBackwardVectors * int64_t{threads.x} * int64_t{sizeof(uint4)}},
           norm_backward_held_rows<T, kCentred>, rows, warps);
  } else {
    // Before dx is written, which may lie over another operand.
    launch(queue,
           {.blocks = dim3(blocks_for(rows.C, kColumnThreads), static_cast<unsigned>(partial_rows)),
            .threads = dim3(kColumnThreads)},
           norm_column_sums<T, kCentred>, rows);
    launch(queue, {.blocks = dim3(blocks_for(rows.N, 1)), .threads = threads}, norm_backward_reread_rows<T, kCentred>,
           rows);
  }
  launch(
      queue,
      {.blocks = dim3(blocks_for((kCentred ? 2 : 1) * rows.C, kSumColumns)), .threads = dim3(kSumColumns * kSumSlices)},
      norm_add_partials<kCentred>, rows.partials, partial_rows, rows.C, rows.dweight, rows.dbias);
}

}  // namespace trireme::runtime::cuda
