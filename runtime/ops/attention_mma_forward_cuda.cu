// FlashAttention-2 forward (Dao 2023, arXiv:2307.08691, algorithm 1): a block takes kQueries queries of a head and goes
// over tiles of keys, from the diagonal back to the first key they see. A warp owns 32 queries, so that each fragment
// of k and v that it reads serves two products; scores stay in registers, where they become the left operand of P v.
#include <cuda_runtime.h>

#include <algorithm>
#include <cassert>
#include <numbers>

#include "runtime/cuda/launch.cuh"
#include "runtime/ops/attention_mma_cuda.h"
#include "runtime/ops/attention_mma_heads.cuh"

namespace trireme::runtime::cuda {
namespace mma {
namespace {

template <int kD>
struct ForwardTiles {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowTiles = 2;
  static constexpr int kQueries = 16 * kRowTiles * kWarps;
  static constexpr int kKeys = 64;
  static constexpr int kBlocks = 2;         // on a multiprocessor: up to 255 registers a thread
  static constexpr bool kHolds = kD == 64;  // q in registers, which do not suffice for more
  /// q, and k and v twice.
  static constexpr int kSharedElements = (kQueries + 4 * kKeys) * kD;
};

/// Per row of a warp, for the lanes that hold it: half 0 is row lane / 4 of a row tile, half 1 the eighth after it.
template <int kRowTiles>
struct Softmax {
  float largest[kRowTiles][2];  ///< unscaled score so far
  float sum[kRowTiles][2];      ///< of exp over this lane's columns so far, relative to largest

  __device__ __forceinline__ Softmax() {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        largest[i][half] = -INFINITY;
        sum[i][half] = 0.0f;
      }
  }

  /// Scores become exp(scale (score - largest)); outputs so far shrink with the new largest. log2_scale = scale log2 e.
  template <int kKeys, int kD>
  __device__ __forceinline__ void step(float log2_scale, Sums<kRowTiles, kKeys>& scores, Sums<kRowTiles, kD>& outputs) {
    float shrink[kRowTiles][2];
    bool shrinks = false;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = largest[i][half];
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j) {
          most = fmaxf(most, fmaxf(scores.at[i][j][2 * half], scores.at[i][j][2 * half + 1]));
        }
        most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
        most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
        // A row that has seen no key yet: anything finite, for exp(-inf - it) = 0.
        const float base = most == -INFINITY ? 0.0f : most * log2_scale;
        shrink[i][half] = fast_exp2(largest[i][half] * log2_scale - base);
        shrinks |= shrink[i][half] != 1.0f;
        float added = 0.0f;
#pragma unroll
        for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
          for (int e = 2 * half; e < 2 * half + 2; ++e) {
            scores.at[i][j][e] = fast_exp2(__fmaf_rn(scores.at[i][j][e], log2_scale, -base));
            added += scores.at[i][j][e];
          }
        sum[i][half] = sum[i][half] * shrink[i][half] + added;
        largest[i][half] = most;
      }
    if (!__any_sync(kAllLanes, shrinks)) return;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int j = 0; j < kD / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) outputs.at[i][j][e] *= shrink[i][e / 2];
  }

  /// To be called once, after the last step: the sums of whole rows.
  __device__ __forceinline__ void add_lanes() {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        sum[i][half] += __shfl_xor_sync(kAllLanes, sum[i][half], 1);
        sum[i][half] += __shfl_xor_sync(kAllLanes, sum[i][half], 2);
      }
  }
};

/// One block a place of heads.order, of query heads.
template <int kD>
__global__ void __launch_bounds__(ForwardTiles<kD>::kThreads, ForwardTiles<kD>::kBlocks)
    attend_queries(const Heads heads, bf16* y, float* log_sum_exp) {
  using Tiles = ForwardTiles<kD>;
  constexpr int kRowTiles = Tiles::kRowTiles;
  constexpr int kKeys = Tiles::kKeys;
  bf16* query_tile = dynamic_shared<bf16>();
  bf16* stages = query_tile + Tiles::kQueries * kD;

  // What is needed seldom waits here rather than in registers.
  __shared__ BlockOrder::Place kept_place;
  __shared__ WarpQueries<kRowTiles, kKeys> kept_queries[Tiles::kWarps];

  const BlockOrder::Place place = heads.order.place(static_cast<int>(blockIdx.x));
  const int b = place.head / heads.H;
  const int h = place.head % heads.H;
  const GlobalRows<const bf16> keys = qkv_rows<kD>(heads, heads.qkv, b, heads.H + h / (heads.H / heads.K));
  const FirstKeys first_keys(heads, b);
  const int block_query = (heads.order.tiles - 1 - place.turn) * Tiles::kQueries;
  const int warp_row = 16 * kRowTiles * warp_index();
  WarpQueries<kRowTiles, kKeys>& queries = kept_queries[warp_index()];
  if (lane_index() == 0) queries = WarpQueries<kRowTiles, kKeys>(first_keys, block_query + warp_row);
  if (threadIdx.x == 0) kept_place = place;

  const int first_tile = first_keys[block_query] / kKeys;
  const int last_tile = (min(block_query + Tiles::kQueries, heads.T) - 1) / kKeys;
  const auto stage_of = [&](int tile) { return stages + tile % 2 * (2 * kKeys * kD); };
  const auto copy_stage = [&](int tile) {  // keys, and values, which lie K heads further on
    copy_tiles<kD, kKeys, Tiles::kThreads, 2>(stage_of(tile), keys, tile * kKeys, static_cast<int64_t>(heads.K) * kD);
  };
  copy_tiles<kD, Tiles::kQueries, Tiles::kThreads>(query_tile, qkv_rows<kD>(heads, heads.qkv, b, h), block_query);
  copy_stage(last_tile);
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  const auto query_rows = rows_for<kRowTiles, kD, Tiles::kHolds>(query_tile, warp_row);
  Softmax<kRowTiles> softmax;
  Sums<kRowTiles, kD> outputs;
  outputs.clear();
  for (int tile = last_tile; tile >= first_tile; --tile) {
    copy_async_wait<0>();
    __syncthreads();  // this tile is here, and no one reads the one before it any more
    if (tile > first_tile) copy_stage(tile - 1);
    copy_async_commit();
    if (!queries.see(tile * kKeys)) continue;
    Sums<kRowTiles, kKeys> scores;
    scores.clear();
    add_product_with_rows<kD>(query_rows, stage_of(tile), scores);
    if (!queries.see_all(tile * kKeys)) queries.mask(first_keys, tile * kKeys, scores);
    softmax.step(heads.log2_scale, scores, outputs);
    add_product_with_columns<kD>(as_operand(scores), stage_of(tile) + kKeys * kD, outputs);
  }

  softmax.add_lanes();
  float inverse[kRowTiles][2];
  float* log_sum_exp_of_head = log_sum_exp + static_cast<int64_t>(kept_place.head) * heads.T;
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = softmax.sum[i][half];
      inverse[i][half] = 1.0f / sum;
      const int query = queries.first + 16 * i + row_in_tile(2 * half);
      if (query >= heads.T || lane_index() % 4 != 0) continue;
      log_sum_exp_of_head[query] = softmax.largest[i][half] * heads.scale + fast_log2(sum) * std::numbers::ln2_v<float>;
    }
  store_rows<kD>(outputs, inverse, query_tile, warp_row,
                 y_rows<kD>(heads, y, kept_place.head / heads.H, kept_place.head % heads.H), queries.first);
}

template <int kD>
void launch_forward(CudaQueue& queue, const AttentionShape& shape, const AttentionForward& args) {
  using Tiles = ForwardTiles<kD>;
  const auto [B, T, H, K, D] = shape;
  Heads heads = heads_of(shape, args.qkv, args.first_keys);
  heads.order = block_order(B * H, (T + Tiles::kQueries - 1) / Tiles::kQueries, H / K, 2 * T * D * sizeof(bf16));
  launch(queue,
         {.blocks = heads.order.blocks(),
          .threads = Tiles::kThreads,
          .shared_bytes = Tiles::kSharedElements * static_cast<int64_t>(sizeof(bf16))},
         attend_queries<kD>, heads, args.y.as<bf16>(), args.log_sum_exp.as<float>());
}

}  // namespace
}  // namespace mma

bool attention_mma_fits(const AttentionShape& shape, DType storage, std::initializer_list<const void*> rows) {
  constexpr int64_t kMostTokens = int64_t{1} << 30;  // positions and row strides are 32-bit numbers in the kernels
  return storage == DType::bf16 && (shape.D == 64 || shape.D == 128) && shape.T < kMostTokens &&
         (shape.H + 2 * shape.K) * shape.D < kMostTokens && shape.B * shape.H * (shape.T / 64 + 1) < kMostTokens &&
         std::ranges::all_of(rows, [&](const void* address) { return fits_vectors<bf16>(shape.D, address); });
}

void attention_mma_forward(CudaQueue& queue, const AttentionShape& shape, const AttentionForward& args) {
  assert(attention_mma_fits(shape, args.qkv.dtype, {args.qkv.data, args.y.data}));
  if (shape.D == 64) {
    mma::launch_forward<64>(queue, shape, args);
  } else {
    mma::launch_forward<128>(queue, shape, args);
  }
}

}  // namespace trireme::runtime::cuda
