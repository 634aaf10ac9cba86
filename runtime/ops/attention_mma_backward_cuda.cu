// FlashAttention-2 backward (Dao 2023, arXiv:2307.08691, algorithm 2) in two kernels without atomics, so that every run
// gives the same bits. With P = exp(scale q k^T - log_sum_exp), dP = dy v^T and dS = P (dP - delta):
//   dk = scale dS^T q, dv = P^T dy   differentiate_keys: a block owns 128 keys, goes over queries;
//   dq = scale dS k                  differentiate_queries: a block owns 128 queries, goes over keys.
// Both compute S = q k^T and dP: of 7 products 2 are done twice, and S is itself a repetition of the forward's. What a
// warp owns are the rows of its products (differentiate_keys computes S^T and dP^T), so that P and dS, rounded to bf16,
// are left operands where they stand, in registers.
#include <cuda_runtime.h>

#include <cassert>
#include <numbers>

#include "runtime/cuda/launch.cuh"
#include "runtime/ops/attention_mma_cuda.h"
#include "runtime/ops/attention_mma_heads.cuh"

namespace trireme::runtime::cuda {
namespace mma {
namespace {

struct Gradients {
  const bf16* dy;
  const float* log_sum_exp;
  const float* delta;
  bf16* dqkv;
};

template <int kD>
struct QueryTiles {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowTiles = 2;
  static constexpr int kQueries = 16 * kRowTiles * kWarps;
  static constexpr int kKeys = kD == 64 ? 64 : 32;
  static constexpr int kBlocks = 2;  // on a multiprocessor: up to 255 registers a thread
  /// q and dy, and k and v twice.
  static constexpr int kSharedElements = (2 * kQueries + 4 * kKeys) * kD;
};

/// dq of the queries of a head. One block a place of heads.order, of query heads.
template <int kD>
__global__ void __launch_bounds__(QueryTiles<kD>::kThreads, QueryTiles<kD>::kBlocks)
    differentiate_queries(const Heads heads, const Gradients args) {
  using Tiles = QueryTiles<kD>;
  constexpr int kRowTiles = Tiles::kRowTiles;
  constexpr int kKeys = Tiles::kKeys;
  bf16* query_tile = dynamic_shared<bf16>();
  bf16* dy_tile = query_tile + Tiles::kQueries * kD;
  bf16* stages = dy_tile + Tiles::kQueries * kD;
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
  copy_tiles<kD, Tiles::kQueries, Tiles::kThreads>(dy_tile, y_rows<kD>(heads, args.dy, b, h), block_query);
  copy_stage(last_tile);
  copy_async_commit();

  float log2_sum[kRowTiles][2];
  float delta[kRowTiles][2];
#pragma unroll
  for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = block_query + warp_row + 16 * i + row_in_tile(2 * half);
      const int64_t row = static_cast<int64_t>(place.head) * heads.T + query;
      log2_sum[i][half] = query < heads.T ? args.log_sum_exp[row] * std::numbers::log2e_v<float> : INFINITY;  // P = 0
      delta[i][half] = query < heads.T ? args.delta[row] : 0.0f;
    }

  const TileRows<kRowTiles, kD> query_rows{query_tile, warp_row};
  const TileRows<kRowTiles, kD> dy_rows{dy_tile, warp_row};
  Sums<kRowTiles, kD> dq;
  dq.clear();
  for (int tile = last_tile; tile >= first_tile; --tile) {
    copy_async_wait<0>();
    __syncthreads();  // this tile is here, and no one reads the one before it any more
    if (tile > first_tile) copy_stage(tile - 1);
    copy_async_commit();
    if (!queries.see(tile * kKeys)) continue;
    Sums<kRowTiles, kKeys> p;
    p.clear();
    add_product_with_rows<kD>(query_rows, stage_of(tile), p);
    if (!queries.see_all(tile * kKeys)) queries.mask(first_keys, tile * kKeys, p);
    Sums<kRowTiles, kKeys> ds;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) ds.at[i][j][e] = -delta[i][e / 2];
    add_product_with_rows<kD>(dy_rows, stage_of(tile) + kKeys * kD, ds);
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          ds.at[i][j][e] *= fast_exp2(__fmaf_rn(p.at[i][j][e], heads.log2_scale, -log2_sum[i][e / 2]));
        }
    add_product_with_columns<kD>(as_operand(ds), stage_of(tile), dq);
  }
  float factors[kRowTiles][2];
  fill(factors, heads.scale);
  store_rows<kD>(dq, factors, query_tile, warp_row,
                 qkv_rows<kD>(heads, args.dqkv, kept_place.head / heads.H, kept_place.head % heads.H), queries.first);
}

template <int kD>
struct KeyTiles {
  static constexpr int kWarps = kD == 64 ? 4 : 8;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowTiles = kD == 64 ? 2 : 1;
  static constexpr int kKeys = 16 * kRowTiles * kWarps;
  static constexpr int kQueries = 32;
  static constexpr int kBlocks = kD == 64 ? 2 : 1;  // on a multiprocessor: up to 255 registers a thread
  static constexpr bool kHolds = kD == 128;         // k and v in registers: a warp of 16 rows would read them too often
  /// k and v, and q and dy twice.
  static constexpr int kSharedElements = (2 * kKeys + 4 * kQueries) * kD;
};

/// What is known of each query of a tile.
template <int kQueries>
struct QueryRows {
  float log2_sum[kQueries];  ///< log_sum_exp log2 e; infinity, which makes P = 0, for queries that do not exist
  float delta[kQueries];
  int first_key[kQueries];
};

/// One of the 3 kQueries numbers, which a thread fetches before it is needed; first_key in the bits of a float.
template <int kQueries>
__device__ __forceinline__ float fetch_query_row(const Heads& heads, const Gradients& args, int b, int head,
                                                 int first_query) {
  const int query = first_query + static_cast<int>(threadIdx.x % kQueries);
  const int64_t row = (static_cast<int64_t>(b) * heads.H + head) * heads.T + query;
  const bool exists = query < heads.T;
  switch (threadIdx.x / kQueries) {
    case 0:
      return exists ? args.log_sum_exp[row] * std::numbers::log2e_v<float> : INFINITY;
    case 1:
      return exists ? args.delta[row] : 0.0f;
    case 2:  // beyond the sequence the last one's: a 0 there would say that every query of the tile sees every key
      return __int_as_float(FirstKeys(heads, b)[min(query, heads.T - 1)]);
    default:
      return 0.0f;
  }
}
template <int kQueries>
__device__ __forceinline__ void put_query_row(float fetched, QueryRows<kQueries>& rows) {
  const int query = static_cast<int>(threadIdx.x % kQueries);
  switch (threadIdx.x / kQueries) {
    case 0:
      rows.log2_sum[query] = fetched;
      break;
    case 1:
      rows.delta[query] = fetched;
      break;
    case 2:
      rows.first_key[query] = __float_as_int(fetched);
      break;
    default:
      break;
  }
}

/// The tiles of kQueries queries, from that of first_key on, of which any sees a key up to last_key. To be called by
/// all threads of the block.
template <int kQueries>
__device__ __forceinline__ int tiles_that_see(const Heads& heads, int b, int first_key, int last_key) {
  const int first_tile = first_key / kQueries;
  const int tiles = (heads.T - 1) / kQueries + 1 - first_tile;
  if (heads.first_keys == nullptr) return tiles;
  const FirstKeys first_keys(heads, b);
  int seeing = 0;  // first_keys never decrease: those that see lie together
  for (int tile = 0; tile < tiles; tile += static_cast<int>(blockDim.x)) {
    const int mine = tile + static_cast<int>(threadIdx.x);
    seeing += __syncthreads_count(mine < tiles && first_keys[(first_tile + mine) * kQueries] <= last_key);
  }
  return seeing;
}

/// Transposed scores of a warp's keys, from first_key on, against a tile of queries, from first_key + ahead on, become
/// -inf where the query may not see the key.
template <int kRowTiles, int kQueries>
__device__ __forceinline__ void mask_transposed(const QueryRows<kQueries>& rows, int ahead, int first_key,
                                                Sums<kRowTiles, kQueries>& scores) {
#pragma unroll
  for (int j = 0; j < kQueries / 8; ++j)
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int column = 8 * j + column_in_tile(side);
      const int begin = rows.first_key[column] - first_key;
      const int end = ahead + column;
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
        for (int e = side; e < 4; e += 2) {
          const int row = 16 * i + row_in_tile(e);
          if (row < begin || row > end) scores.at[i][j][e] = -INFINITY;
        }
    }
}

/// p = P^T and ds = dS^T, from p = (q k^T)^T and ds = (dy v^T)^T.
template <int kRowTiles, int kQueries>
__device__ __forceinline__ void differentiate_scores(const QueryRows<kQueries>& rows, float log2_scale,
                                                     Sums<kRowTiles, kQueries>& p, Sums<kRowTiles, kQueries>& ds) {
#pragma unroll
  for (int j = 0; j < kQueries / 8; ++j) {
    const int column = 8 * j + column_in_tile(0);
    const float2 log2_sum = *reinterpret_cast<const float2*>(&rows.log2_sum[column]);
    const float2 delta = *reinterpret_cast<const float2*>(&rows.delta[column]);
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        p.at[i][j][e] = fast_exp2(__fmaf_rn(p.at[i][j][e], log2_scale, -(e % 2 == 0 ? log2_sum.x : log2_sum.y)));
        ds.at[i][j][e] = p.at[i][j][e] * (ds.at[i][j][e] - (e % 2 == 0 ? delta.x : delta.y));
      }
  }
}

/// The work of a block of differentiate_keys, which takes turns: the tiles of queries of the first head of the group
/// that see its keys, then those of the next head.
struct KeyPlace {
  int b;
  int kv_head;
  int first_head;
  int first_key;
  int first_tile;
  int tiles;
  int turns;
};

/// dk and dv of the keys of a key/value head, over all query heads of its group. One block a place of heads.order, of
/// key/value heads.
template <int kD>
__global__ void __launch_bounds__(KeyTiles<kD>::kThreads, KeyTiles<kD>::kBlocks)
    differentiate_keys(const Heads heads, const Gradients args) {
  using Tiles = KeyTiles<kD>;
  constexpr int kRowTiles = Tiles::kRowTiles;
  constexpr int kQueries = Tiles::kQueries;
  static_assert(3 * kQueries <= Tiles::kThreads);
  bf16* key_tile = dynamic_shared<bf16>();
  bf16* value_tile = key_tile + Tiles::kKeys * kD;
  bf16* stages = value_tile + Tiles::kKeys * kD;
  __shared__ __align__(16) QueryRows<kQueries> query_rows[2];
  __shared__ KeyPlace place;  // read once a turn, rather than addresses in registers

  const BlockOrder::Place block = heads.order.place(static_cast<int>(blockIdx.x));
  const int block_key = block.turn * Tiles::kKeys;
  const int warp_row = 16 * kRowTiles * warp_index();
  const int group = heads.H / heads.K;
  const int tiles =
      tiles_that_see<kQueries>(heads, block.head / heads.K, block_key, min(block_key + Tiles::kKeys, heads.T) - 1);
  if (threadIdx.x == 0) {
    place.b = block.head / heads.K;
    place.kv_head = block.head % heads.K;
    place.first_head = place.kv_head * group;
    place.first_tile = block_key / kQueries;
    place.tiles = tiles;
    place.first_key = block_key;
    place.turns = group * tiles;
  }
  __syncthreads();
  const auto first_query = [&](int turn) { return (place.first_tile + turn % place.tiles) * kQueries; };
  const auto stage_of = [&](int turn) { return stages + (turn & 1) * (2 * kQueries * kD); };
  float fetched;
  const auto copy_stage = [&](int turn) {
    const int head = place.first_head + turn / place.tiles;
    const int query = first_query(turn);
    copy_tiles<kD, kQueries, Tiles::kThreads>(stage_of(turn), qkv_rows<kD>(heads, heads.qkv, place.b, head), query);
    copy_tiles<kD, kQueries, Tiles::kThreads>(stage_of(turn) + kQueries * kD, y_rows<kD>(heads, args.dy, place.b, head),
                                              query);
    fetched = fetch_query_row<kQueries>(heads, args, place.b, head, query);
  };
  copy_tiles<kD, Tiles::kKeys, Tiles::kThreads, 2>(key_tile,
                                                   qkv_rows<kD>(heads, heads.qkv, place.b, heads.H + place.kv_head),
                                                   block_key, static_cast<int64_t>(heads.K) * kD);
  copy_stage(0);
  copy_async_commit();
  put_query_row(fetched, query_rows[0]);
  copy_async_wait<0>();
  __syncthreads();
  const auto key_rows = rows_for<kRowTiles, kD, Tiles::kHolds>(key_tile, warp_row);
  const auto value_rows = rows_for<kRowTiles, kD, Tiles::kHolds>(value_tile, warp_row);
  Sums<kRowTiles, kD> dk;
  Sums<kRowTiles, kD> dv;
  dk.clear();
  dv.clear();
  for (int turn = 0; turn < place.turns; ++turn) {
    copy_async_wait<0>();
    __syncthreads();  // this turn's queries are here, and no one reads those of the turn before any more
    if (turn + 1 < place.turns) copy_stage(turn + 1);
    copy_async_commit();
    const QueryRows<kQueries>& rows = query_rows[(turn & 1)];
    const int warp_key = place.first_key + warp_row;
    const int ahead = first_query(turn) - warp_key;  // of the first query before the warp's first key
    const bool seen = warp_key < heads.T && ahead > -kQueries && warp_key + 16 * kRowTiles > rows.first_key[0];
    if (seen) {
      const bf16* query_tile = stage_of(turn);
      const bf16* dy_tile = query_tile + kQueries * kD;
      Sums<kRowTiles, kQueries> p;
      p.clear();
      add_product_with_rows<kD>(key_rows, query_tile, p);
      const bool seen_by_all = ahead >= 16 * kRowTiles - 1 && rows.first_key[kQueries - 1] <= warp_key;
      if (!seen_by_all) mask_transposed(rows, ahead, warp_key, p);
      Sums<kRowTiles, kQueries> ds;
      ds.clear();
      add_product_with_rows<kD>(value_rows, dy_tile, ds);
      differentiate_scores(rows, heads.log2_scale, p, ds);
      add_product_with_columns<kD>(as_operand(p), dy_tile, dv);
      add_product_with_columns<kD>(as_operand(ds), query_tile, dk);
    }
    if (turn + 1 < place.turns) put_query_row(fetched, query_rows[(turn + 1) & 1]);
  }
  const int warp_key = place.first_key + warp_row;
  const int key_head = heads.H + place.kv_head;
  float factors[kRowTiles][2];
  fill(factors, heads.scale);
  store_rows<kD>(dk, factors, key_tile, warp_row, qkv_rows<kD>(heads, args.dqkv, place.b, key_head), warp_key);
  fill(factors, 1.0f);
  store_rows<kD>(dv, factors, value_tile, warp_row, qkv_rows<kD>(heads, args.dqkv, place.b, key_head + heads.K),
                 warp_key);
}

template <int kD>
void launch_backward(CudaQueue& queue, const AttentionShape& shape, const AttentionBackward& args, ConstView delta) {
  const auto [B, T, H, K, D] = shape;
  const Gradients gradients{args.dy.as<bf16>(), args.log_sum_exp.as<float>(), delta.as<float>(), args.dqkv.as<bf16>()};
  const int64_t head_bytes = 2 * T * D * static_cast<int64_t>(sizeof(bf16));  // k and v, or q and dy
  Heads heads = heads_of(shape, args.qkv, args.first_keys);

  using ByKeys = KeyTiles<kD>;
  heads.order = block_order(B * K, (T + ByKeys::kKeys - 1) / ByKeys::kKeys, 1, H / K * head_bytes);
  launch(queue,
         {.blocks = heads.order.blocks(),
          .threads = ByKeys::kThreads,
          .shared_bytes = ByKeys::kSharedElements * static_cast<int64_t>(sizeof(bf16))},
         differentiate_keys<kD>, heads, gradients);

  using ByQueries = QueryTiles<kD>;
  heads.order = block_order(B * H, (T + ByQueries::kQueries - 1) / ByQueries::kQueries, H / K, head_bytes);
  launch(queue,
         {.blocks = heads.order.blocks(),
          .threads = ByQueries::kThreads,
          .shared_bytes = ByQueries::kSharedElements * static_cast<int64_t>(sizeof(bf16))},
         differentiate_queries<kD>, heads, gradients);
}

}  // namespace
}  // namespace mma

void attention_mma_backward(CudaQueue& queue, const AttentionShape& shape, const AttentionBackward& args,
                            ConstView delta) {
  assert(attention_mma_fits(shape, args.qkv.dtype, {args.qkv.data, args.dy.data, args.dqkv.data}));
  if (shape.D == 64) {
    mma::launch_backward<64>(queue, shape, args, delta);
  } else {
    mma::launch_backward<128>(queue, shape, args, delta);
  }
}

}  // namespace trireme::runtime::cuda
