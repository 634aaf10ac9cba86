// What the tensor-core kernels of attention share beyond products: where the rows of a head lie, and who may see whom.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <numbers>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_mma_order.cuh"
#include "runtime/ops/attention_mma_tiles.cuh"

namespace trireme::runtime::cuda::mma {

/// The operands that forward and backward have in common; see attention.h.
struct Heads {
  const bf16* qkv;
  const int32_t* first_keys;  ///< null: all 0
  int T;
  int H;
  int K;
  int qkv_stride;    ///< elements of a row of qkv and dqkv
  int y_stride;      ///< elements of a row of y and dy
  float scale;       ///< 1 / sqrt(D)
  float log2_scale;  ///< scale log2 e, for exp2
  BlockOrder order;
};

inline Heads heads_of(const AttentionShape& shape, ConstView qkv, ConstView first_keys) {
  const auto [B, T, H, K, D] = shape;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  return {.qkv = qkv.as<bf16>(),
          .first_keys = first_keys.absent() ? nullptr : first_keys.as<int32_t>(),
          .T = static_cast<int>(T),
          .H = static_cast<int>(H),
          .K = static_cast<int>(K),
          .qkv_stride = static_cast<int>((H + 2 * K) * D),
          .y_stride = static_cast<int>(H * D),
          .scale = scale,
          .log2_scale = scale * std::numbers::log2e_v<float>,
          .order = {}};
}

/// The T rows of head `head` of the H + 2K heads of a row of qkv (or dqkv), of sequence b.
template <int kD, typename T>
__device__ __forceinline__ GlobalRows<T> qkv_rows(const Heads& heads, T* qkv, int b, int head) {
  return {qkv + static_cast<int64_t>(b) * heads.T * heads.qkv_stride + head * kD, heads.qkv_stride, heads.T};
}
/// The same of y or dy.
template <int kD, typename T>
__device__ __forceinline__ GlobalRows<T> y_rows(const Heads& heads, T* y, int b, int head) {
  return {y + static_cast<int64_t>(b) * heads.T * heads.y_stride + head * kD, heads.y_stride, heads.T};
}

/// The first key that a query of one sequence may see; 0 for rows beyond the sequence, whose results no one keeps.
struct FirstKeys {
  const int32_t* of_sequence;  ///< null: all 0
  int T;
  __device__ __forceinline__ FirstKeys(const Heads& heads, int b)
      : of_sequence(heads.first_keys == nullptr ? nullptr : heads.first_keys + static_cast<int64_t>(b) * heads.T),
        T(heads.T) {}
  __device__ __forceinline__ int operator[](int query) const {
    return of_sequence == nullptr || query >= T ? 0 : of_sequence[query];
  }
};

/// The queries of a warp, which are the rows of its scores, against tiles of kKeys keys.
template <int kRowTiles, int kKeys>
struct WarpQueries {
  int first;
  int last;         ///< that exists; less than first where none does
  int lowest_key;   ///< that any of them sees
  int highest_key;  ///< from which on all of them see all keys up to their own

  WarpQueries() = default;
  __device__ __forceinline__ WarpQueries(const FirstKeys& first_keys, int first_query)
      : first(first_query),
        last(min(first_query + 16 * kRowTiles, first_keys.T) - 1),
        lowest_key(first_keys[first_query]),
        highest_key(last < 0 ? 0 : first_keys[last]) {}

  __device__ __forceinline__ bool see(int first_key) const {
    return first <= last && first_key <= last && first_key + kKeys > lowest_key;
  }
  __device__ __forceinline__ bool see_all(int first_key) const {
    return first_key + kKeys - 1 <= first && first_key >= highest_key;
  }
  /// Scores of keys that their query may not see become -inf.
  __device__ __forceinline__ void mask(const FirstKeys& first_keys, int first_key,
                                       Sums<kRowTiles, kKeys>& scores) const {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int query = first + 16 * i + row_in_tile(2 * half);
        const int begin = first_keys[query] - first_key;
        const int end = query - first_key;
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
          for (int e = 2 * half; e < 2 * half + 2; ++e) {
            const int column = 8 * j + column_in_tile(e);
            if (column < begin || column > end) scores.at[i][j][e] = -INFINITY;
          }
      }
  }
};

}  // namespace trireme::runtime::cuda::mma
