// Tiles of bf16 rows in shared memory and products of them on tensor cores, a warp at a time: what FlashAttention's
// kernels are made of. Knows nothing of attention. A tile is rows of kD elements, its rows a multiple of 16; fragment
// layouts are those of mma_m16n8k16 in runtime/cuda/intrinsics.cuh. Every function here but copy_tiles is called by all
// lanes of a warp together.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "runtime/cuda/intrinsics.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/vectors.cuh"

namespace trireme::runtime::cuda::mma {

__device__ __forceinline__ int lane_index() {
  return static_cast<int>(threadIdx.x % kWarp);
}
__device__ __forceinline__ int warp_index() {
  return static_cast<int>(threadIdx.x / kWarp);
}

/// 16-byte piece `piece` of a row of a tile. Row r keeps its pieces in the order of their numbers xor r % 8: the same
/// piece of eight neighbouring rows then lies in eight different groups of banks, and so do eight pieces of one row.
template <int kD>
__device__ __forceinline__ bf16* piece_of(bf16* tile, int row, int piece) {
  return tile + row * kD + (piece ^ row % 8) * 8;
}

/// Rows of a matrix in global memory, `stride` elements apart, of which those from `end` on do not exist.
template <typename T>
struct GlobalRows {
  T* begin;
  int stride;
  int end;
  __device__ __forceinline__ T* row(int index) const { return begin + static_cast<int64_t>(index) * stride; }
};

/// Starts copying rows [first, first + kRows) into kTiles tiles that follow each other, by all kThreads threads of the
/// block: into the first from `rows`, into each next one from `apart` elements further on; zeros from rows.end on.
template <int kD, int kRows, int kThreads, int kTiles = 1>
__device__ __forceinline__ void copy_tiles(bf16* tiles, const GlobalRows<const bf16>& rows, int first,
                                           int64_t apart = 0) {
  constexpr int kPieces = kD / 8;
  constexpr int kHop = kThreads / kPieces;
  static_assert(kThreads % kPieces == 0 && kHop % 8 == 0 && kRows % kHop == 0);  // a thread's pieces lie equally apart
  const int row = static_cast<int>(threadIdx.x / kPieces);
  const int piece = static_cast<int>(threadIdx.x % kPieces);
  bf16* to = piece_of<kD>(tiles, row, piece);
  const bf16* from = rows.row(first + row) + piece * 8;
  const int exist = rows.end - first - row;
#pragma unroll
  for (int step = 0; step < kRows / kHop; ++step) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      copy_async_16(to + (tile * kRows + step * kHop) * kD, from + tile * apart, step * kHop < exist);
    }
    from += static_cast<int64_t>(kHop) * rows.stride;
  }
}

/// fp32 sums over a warp: 16 kRowTiles rows and kColumns columns. at[i][j][e] is row 16 i + lane / 4 + 8 (e / 2) and
/// column 8 j + 2 (lane % 4) + e % 2.
template <int kRowTiles, int kColumns>
struct Sums {
  float at[kRowTiles][kColumns / 8][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int j = 0; j < kColumns / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) at[i][j][e] = 0.0f;
  }
};

/// Row and column, within its 16 x 8 tile, of element e of this lane.
__device__ __forceinline__ int row_in_tile(int e) {
  return lane_index() / 4 + 8 * (e / 2);
}
__device__ __forceinline__ int column_in_tile(int e) {
  return 2 * (lane_index() % 4) + e % 2;
}

/// The left operand of a product, 16 kRowTiles rows and kDepth columns of bf16, in registers.
template <int kRowTiles, int kDepth>
struct HeldRows {
  uint32_t at[kRowTiles][kDepth / 16][4];

  __device__ __forceinline__ void load(int step, uint32_t (&a)[kRowTiles][4]) const {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int e = 0; e < 4; ++e) a[i][e] = at[i][step][e];
  }
};

/// This lane's address for the ldmatrix of the 16 x 16 elements at (row, column), both multiples of 16: matrices
/// 0, 1 are rows 0-7 and 8-15 of the left half, 2, 3 those of the right half.
template <int kD>
__device__ __forceinline__ const bf16* fragment_row(const bf16* tile, int row, int column) {
  const int lane = lane_index();
  return tile + (row + lane % 16) * kD + ((column / 8) ^ (lane / 16) ^ (lane % 8)) * 8;
}

/// The left operand of a product, read from a tile at every use: fewer registers, more traffic.
template <int kRowTiles, int kD>
struct TileRows {
  const bf16* tile;
  int row;  ///< the first, a multiple of 16

  __device__ __forceinline__ void load(int step, uint32_t (&a)[kRowTiles][4]) const {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) ldmatrix_x4(a[i], fragment_row<kD>(tile, row + 16 * i, 16 * step));
  }

  __device__ __forceinline__ HeldRows<kRowTiles, kD> held() const {
    HeldRows<kRowTiles, kD> rows;
#pragma unroll
    for (int step = 0; step < kD / 16; ++step)
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        ldmatrix_x4(rows.at[i][step], fragment_row<kD>(tile, row + 16 * i, 16 * step));
      }
    return rows;
  }
};

/// A warp's rows of a tile from `row` on, in registers or read again at every use.
template <int kRowTiles, int kD, bool kHeld>
__device__ __forceinline__ auto rows_for(const bf16* tile, int row) {
  const TileRows<kRowTiles, kD> rows{tile, row};
  if constexpr (kHeld) {
    return rows.held();
  } else {
    return rows;
  }
}

/// sums += a b^T, a a warp's rows of kD elements, b a tile of kColumns rows.
template <int kD, int kRowTiles, int kColumns, typename Rows>
__device__ __forceinline__ void add_product_with_rows(const Rows& a_rows, const bf16* b_tile,
                                                      Sums<kRowTiles, kColumns>& sums) {
#pragma unroll
  for (int step = 0; step < kD / 16; ++step) {
    uint32_t a[kRowTiles][4];
    a_rows.load(step, a);
#pragma unroll
    for (int j = 0; j < kColumns / 16; ++j) {
      uint32_t r[4];
      ldmatrix_x4(r, fragment_row<kD>(b_tile, 16 * j, 16 * step));
      const uint32_t left[2] = {r[0], r[2]};
      const uint32_t right[2] = {r[1], r[3]};
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        mma_m16n8k16(sums.at[i][2 * j], a[i], left);
        mma_m16n8k16(sums.at[i][2 * j + 1], a[i], right);
      }
    }
  }
}

/// sums += a b, a a warp's rows of kDepth elements, b a tile of kDepth rows.
template <int kD, int kRowTiles, int kDepth>
__device__ __forceinline__ void add_product_with_columns(const HeldRows<kRowTiles, kDepth>& a, const bf16* b_tile,
                                                         Sums<kRowTiles, kD>& sums) {
#pragma unroll
  for (int step = 0; step < kDepth / 16; ++step) {
#pragma unroll
    for (int j = 0; j < kD / 16; ++j) {
      uint32_t r[4];
      ldmatrix_x4_transposed(r, fragment_row<kD>(b_tile, 16 * step, 16 * j));
      const uint32_t left[2] = {r[0], r[1]};
      const uint32_t right[2] = {r[2], r[3]};
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        mma_m16n8k16(sums.at[i][2 * j], a.at[i][step], left);
        mma_m16n8k16(sums.at[i][2 * j + 1], a.at[i][step], right);
      }
    }
  }
}

/// Sums rounded to bf16, as a left operand: each lane holds already what it must hold there.
template <int kRowTiles, int kColumns>
__device__ __forceinline__ HeldRows<kRowTiles, kColumns> as_operand(const Sums<kRowTiles, kColumns>& sums) {
  HeldRows<kRowTiles, kColumns> rows;
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
    for (int step = 0; step < kColumns / 16; ++step) {
      const float(&left)[4] = sums.at[i][2 * step];
      const float(&right)[4] = sums.at[i][2 * step + 1];
      rows.at[i][step][0] = pack_bf16(left[0], left[1]);
      rows.at[i][step][1] = pack_bf16(left[2], left[3]);
      rows.at[i][step][2] = pack_bf16(right[0], right[1]);
      rows.at[i][step][3] = pack_bf16(right[2], right[3]);
    }
  return rows;
}

template <int kRowTiles>
__device__ __forceinline__ void fill(float (&factors)[kRowTiles][2], float value) {
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i) factors[i][0] = factors[i][1] = value;
}

/// Writes a warp's sums, row by row times factors[row tile][half of it], to rows first, first + 1, ... of `out` as far
/// as they exist, in whole 16-byte pieces. The warp's own rows of a tile, from `tile_row` on, are overwritten on the
/// way; no other warp may use them.
template <int kD, int kRowTiles>
__device__ __forceinline__ void store_rows(const Sums<kRowTiles, kD>& sums, const float (&factors)[kRowTiles][2],
                                           bf16* tile, int tile_row, const GlobalRows<bf16>& out, int first) {
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
    for (int j = 0; j < kD / 8; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float(&pair)[4] = sums.at[i][j];
        bf16* piece = piece_of<kD>(tile, tile_row + 16 * i + row_in_tile(2 * half), j);
        *reinterpret_cast<uint32_t*>(piece + column_in_tile(0)) =
            pack_bf16(pair[2 * half] * factors[i][half], pair[2 * half + 1] * factors[i][half]);
      }
  __syncwarp();
  constexpr int kPieces = kD / 8;
  constexpr int kRowsAtOnce = static_cast<int>(kWarp) / kPieces;
  const int piece = lane_index() % kPieces;
#pragma unroll
  for (int step = 0; step < 16 * kRowTiles / kRowsAtOnce; ++step) {
    const int row = step * kRowsAtOnce + lane_index() / kPieces;
    if (first + row >= out.end) continue;
    *reinterpret_cast<uint4*>(out.row(first + row) + piece * 8) =
        *reinterpret_cast<const uint4*>(piece_of<kD>(tile, tile_row + row, piece));
  }
}

}  // namespace trireme::runtime::cuda::mma
