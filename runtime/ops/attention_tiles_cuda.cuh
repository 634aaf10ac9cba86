// The parts of the plain attention kernels: tiles of 64 rows by 64 columns in shared memory, fp32 whatever the storage,
// and products of two of them on 4 x 4 elements a thread. A head wider than 64 goes by in chunks of columns.
// A block is 16 x 16 threads: thread (ty, tx) owns rows ty + 16 i of what is computed; the 16 threads of a row are half
// a warp, so that sums and maxima over a row are shuffles and what a row hands on to itself needs no barrier.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "runtime/cuda/intrinsics.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/vectors.cuh"

namespace trireme::runtime::cuda::plain_attention {

inline constexpr int kAttentionTile = 64;
inline constexpr int kAttentionThreads = 256;
/// Floats from one row of a tile to the next: 16-byte loads of neighbouring rows then meet no bank twice.
inline constexpr int kAttentionPitch = kAttentionTile + 4;
inline constexpr int kAttentionTileFloats = kAttentionTile * kAttentionPitch;

/// Where a thread stands: its first row, and its first column in 16 neighbouring ones.
__device__ __forceinline__ int thread_row() {
  return static_cast<int>(threadIdx.x / 16);
}
__device__ __forceinline__ int thread_column() {
  return static_cast<int>(threadIdx.x % 16);
}

/// The 4 x 4 elements of a tile that a thread holds. Of scores: rows ty + 16 i, columns tx + 16 j; of outputs: the same
/// rows, columns 4 tx + j.
using Fragment = float[4][4];

/// Rows of a head inside a wider tensor.
template <typename T>
struct HeadRows {
  T* first = nullptr;
  int64_t row = 0;  ///< elements from one token to the next
};

/// What part of them a tile holds. Positions in a sequence are 32-bit numbers, as in AttentionForward::first_keys; what
/// they are multiplied with is not.
struct TilePart {
  int first_row = 0;
  int rows = 0;  ///< that exist from there on; more than a tile are cut
  int first_column = 0;
  int columns = 0;       ///< likewise
  bool vectors = false;  ///< rows can be accessed 16 bytes at a time
};

/// Whole block. Rows and columns that do not exist become 0.
template <typename T>
__device__ __forceinline__ void load_tile(const HeadRows<const T>& from, const TilePart& part, float* tile) {
  constexpr int kElements = kVectorElements<T>;
  constexpr int kVectorsOfRow = kAttentionTile / kElements;
  const T* first = from.first + part.first_row * from.row + part.first_column;
  for (int i = static_cast<int>(threadIdx.x); i < kAttentionTile * kVectorsOfRow; i += kAttentionThreads) {
    const int row = i / kVectorsOfRow;
    const int column = i % kVectorsOfRow * kElements;
    Vector<T> values{};
    if (row < part.rows && column < part.columns) {
      const T* address = first + row * from.row + column;
      if (part.vectors) {
        values = load_vector(address);
      } else {
#pragma unroll
        for (int e = 0; e < kElements; ++e) values[e] = column + e < part.columns ? to_float(address[e]) : 0.0f;
      }
    }
#pragma unroll
    for (int e = 0; e < kElements; e += 4) {
      *reinterpret_cast<float4*>(tile + row * kAttentionPitch + column + e) =
          make_float4(values[e], values[e + 1], values[e + 2], values[e + 3]);
    }
  }
}

__device__ __forceinline__ float dot4(const float4& a, const float4& b, float sum) {
  sum += a.x * b.x;
  sum += a.y * b.y;
  sum += a.z * b.z;
  sum += a.w * b.w;
  return sum;
}

/// scores += a b^T over the first `columns` columns of both tiles (those up to a multiple of 4 are 0).
__device__ __forceinline__ void add_row_products(const float* a, const float* b, int columns, Fragment& scores) {
  const float* a_row = a + thread_row() * kAttentionPitch;
  const float* b_row = b + thread_column() * kAttentionPitch;
  const int end = min(columns, kAttentionTile);
#pragma unroll 1
  for (int column = 0; column < end; column += 4) {
    float4 of_a[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) of_a[i] = *reinterpret_cast<const float4*>(a_row + 16 * i * kAttentionPitch + column);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float4 of_b = *reinterpret_cast<const float4*>(b_row + 16 * j * kAttentionPitch + column);
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[i][j] = dot4(of_a[i], of_b, scores[i][j]);
    }
  }
}

/// Keeps a thread's scores where its row's threads find them; a row is read by the warp that wrote it.
__device__ __forceinline__ void keep_weights(const Fragment& scores, float* weights) {
  float* row = weights + thread_row() * kAttentionPitch + thread_column();
  __syncwarp();  // what was kept before has been read
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) row[16 * i * kAttentionPitch + 16 * j] = scores[i][j];
  }
  __syncwarp();
}

/// outputs += weights b over the first `depth` columns of the weights, rows of b (weights up to a multiple of 4 are 0).
__device__ __forceinline__ void add_weighted_rows(const float* weights, const float* b, int depth, Fragment& outputs) {
  const float* weight_row = weights + thread_row() * kAttentionPitch;
  const float* b_columns = b + thread_column() * 4;
  const int end = min(depth, kAttentionTile);
#pragma unroll 1
  for (int k = 0; k < end; k += 4) {
    float4 of_weights[4];
    float4 of_b[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      of_weights[i] = *reinterpret_cast<const float4*>(weight_row + 16 * i * kAttentionPitch + k);
      of_b[i] = *reinterpret_cast<const float4*>(b_columns + (k + i) * kAttentionPitch);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float weight[4] = {of_weights[i].x, of_weights[i].y, of_weights[i].z, of_weights[i].w};
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        outputs[i][0] += weight[p] * of_b[p].x;
        outputs[i][1] += weight[p] * of_b[p].y;
        outputs[i][2] += weight[p] * of_b[p].z;
        outputs[i][3] += weight[p] * of_b[p].w;
      }
    }
  }
}

__device__ __forceinline__ void store_four(float* address, const float (&x)[4]) {
  *reinterpret_cast<float4*>(address) = make_float4(x[0], x[1], x[2], x[3]);
}
__device__ __forceinline__ void store_four(bf16* address, const float (&x)[4]) {
  *reinterpret_cast<uint2*>(address) = make_uint2(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]));
}

/// Rows and columns that do not exist are left out.
template <typename T>
__device__ __forceinline__ void store_tile(const Fragment& outputs, const HeadRows<T>& to, const TilePart& part) {
  const int column = thread_column() * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = thread_row() + 16 * i;
    if (row >= part.rows) continue;
    T* address = to.first + (part.first_row + row) * to.row + part.first_column + column;
    if (part.vectors) {
      if (column < part.columns) store_four(address, outputs[i]);
    } else {
      for (int j = 0; j < 4 && column + j < part.columns; ++j) store(address + j, outputs[i][j]);
    }
  }
}

/// Over the 16 threads of a row.
__device__ __forceinline__ float row_max(float x) {
#pragma unroll
  for (int mask = 8; mask > 0; mask >>= 1) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, mask));
  return x;
}
__device__ __forceinline__ float row_sum(float x) {
  return lanes_sum(x, 16);
}

}  // namespace trireme::runtime::cuda::plain_attention
