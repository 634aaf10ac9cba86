// The plain kernels of attention's backward pass. Scores and their gradients are computed twice, once for the gradients
// of the queries and once for those of the keys and values, so that no two blocks add to one number. To be included by
// attention_cuda.cu alone.
#pragma once

#include <cmath>

#include "runtime/ops/attention_forward_cuda.cuh"

namespace trireme::runtime::cuda::plain_attention {

/// Of every tensor the address of its first head of the first sequence.
template <typename T>
struct BackwardOperands {
  HeadRows<const T> queries;  ///< (B*T rows, H heads of D)
  HeadRows<const T> keys;     ///< (B*T rows, K heads of D), as are the values
  HeadRows<const T> values;
  HeadRows<const T> dy;
  HeadRows<T> queries_gradient;
  HeadRows<T> keys_gradient;
  HeadRows<T> values_gradient;
  const float* log_sum_exp = nullptr;   ///< (B, H, T)
  const float* delta = nullptr;         ///< (B, H, T): sum of dy * y
  const int32_t* first_keys = nullptr;  ///< (B*T); null: all 0
  int64_t tokens = 0;
  int64_t H = 0;
  int64_t K = 0;
  int64_t D = 0;
  float scale = 1;
  bool vectors = false;
};

/// The statistics of one query of a head.
struct QueryRow {
  float log_sum_exp = 0;
  float delta = 0;
  int first_key = 0;
  int position = -1;  ///< a query that does not exist sees no key
};
/// Of query `row` of the tile from `begin` on; `head` counts those of all sequences.
template <typename T>
__device__ __forceinline__ QueryRow query_row(const BackwardOperands<T>& o, int64_t head, int begin, int row) {
  const int64_t first = head * o.tokens + begin;
  const int32_t* first_keys = o.first_keys == nullptr ? nullptr : o.first_keys + head / o.H * o.tokens + begin;
  if (begin + row >= static_cast<int>(o.tokens)) return {};
  return {o.log_sum_exp[first + row], o.delta[first + row], first_keys == nullptr ? 0 : first_keys[row], begin + row};
}

/// exp(score - log_sum_exp), 0 where the query may not see the key.
__device__ __forceinline__ float probability(const QueryRow& query, int key, float score) {
  return key <= query.position && key >= query.first_key ? expf(score - query.log_sum_exp) : 0.0f;
}

/// The tiles in shared memory of both kernels.
struct BackwardTiles {
  float* queries;
  float* keys;
  float* values;
  float* dy;
  float* weights;
};
inline constexpr int kBackwardTiles = 5;
__device__ __forceinline__ BackwardTiles backward_tiles() {
  float* shared = dynamic_shared<float>();
  return {shared, shared + kAttentionTileFloats, shared + 2 * kAttentionTileFloats, shared + 3 * kAttentionTileFloats,
          shared + 4 * kAttentionTileFloats};
}

/// One chunk of columns of the tiles; the last chunk that is loaded, item.chunk, stays for the products by columns.
__device__ __forceinline__ int loaded_column(const AttentionItem& item, int step) {
  return (item.chunk + 1 + step) % item.chunks * kAttentionTile;
}

/// dq of a tile of queries of a head and a chunk of columns, over all keys they see.
template <typename T>
__global__ void __launch_bounds__(kAttentionThreads, 2)
    attention_queries_gradient_kernel(BackwardOperands<T> o, int64_t B) {
  const BackwardTiles tiles = backward_tiles();
  const AttentionItem item = attention_item(B * o.H, o.D);
  const int64_t b = item.head / o.H;
  const int64_t h = item.head % o.H;
  const int64_t token = b * o.tokens;
  const auto tokens = static_cast<int>(o.tokens);
  const auto D = static_cast<int>(o.D);
  const int query_begin =
      (static_cast<int>(attention_tiles(tokens)) - 1 - item.tile) * kAttentionTile;  // most keys first
  const HeadRows<const T> q = head_rows(o.queries, token, h, o.D);
  const HeadRows<const T> k = head_rows(o.keys, token, h / (o.H / o.K), o.D);
  const HeadRows<const T> v = head_rows(o.values, token, h / (o.H / o.K), o.D);
  const HeadRows<const T> dy = head_rows(o.dy, token, h, o.D);
  QueryRow rows[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) rows[i] = query_row(o, item.head, query_begin, thread_row() + 16 * i);
  const int tile_begin =
      o.first_keys == nullptr ? 0 : o.first_keys[token + query_begin] / kAttentionTile * kAttentionTile;
  const int visible = min(tokens, query_begin + kAttentionTile);

  Fragment gradient = {};
  for (int key_begin = tile_begin; key_begin < visible; key_begin += kAttentionTile) {
    Fragment scores = {};
    Fragment products = {};  // dy v^T
#pragma unroll 1
    for (int step = 0; step < item.chunks; ++step) {
      const int column = loaded_column(item, step);
      const TilePart of_queries{query_begin, tokens - query_begin, column, D - column, o.vectors};
      const TilePart of_keys{key_begin, visible - key_begin, column, D - column, o.vectors};
      __syncthreads();  // the tiles before have been read
      if (item.chunks > 1 || key_begin == tile_begin) {
        load_tile(q, of_queries, tiles.queries);
        load_tile(dy, of_queries, tiles.dy);
      }
      load_tile(k, of_keys, tiles.keys);
      load_tile(v, of_keys, tiles.values);
      __syncthreads();
      add_row_products(tiles.queries, tiles.keys, of_keys.columns, scores);
      add_row_products(tiles.dy, tiles.values, of_keys.columns, products);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int key = key_begin + thread_column() + 16 * j;
        scores[i][j] = probability(rows[i], key, scores[i][j] * o.scale) * (products[i][j] - rows[i].delta);
      }
    }
    keep_weights(scores, tiles.weights);
    add_weighted_rows(tiles.weights, tiles.keys, visible - key_begin, gradient);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) gradient[i][j] *= o.scale;
  }
  store_tile(gradient, head_rows(o.queries_gradient, token, h, o.D),
             {query_begin, tokens - query_begin, item.column, D - item.column, o.vectors});
}

/// Blocks of the next kernel that a multiprocessor shall hold. Two fit, but leave 128 registers a thread: with bf16,
/// whose widths of note go to tensor cores anyway, those do not do.
template <typename T>
inline constexpr int kKeysBlocks = sizeof(T) == 2 ? 1 : 2;

/// dk and dv of a tile of keys of a key/value head and a chunk of columns, over the queries that see them: those of the
/// group's first head from the diagonal on, then those of the next. Scores are transposed here: rows are keys.
template <typename T>
__global__ void __launch_bounds__(kAttentionThreads, kKeysBlocks<T>)
    attention_keys_gradient_kernel(BackwardOperands<T> o, int64_t B) {
  const BackwardTiles tiles = backward_tiles();
  const AttentionItem item = attention_item(B * o.K, o.D);
  const int64_t b = item.head / o.K;
  const int64_t kv_head = item.head % o.K;
  const int64_t token = b * o.tokens;
  const int64_t group = o.H / o.K;
  const auto tokens = static_cast<int>(o.tokens);
  const auto D = static_cast<int>(o.D);
  const int key_begin = item.tile * kAttentionTile;  // most queries first
  const int key_last = min(tokens, key_begin + kAttentionTile) - 1;
  const HeadRows<const T> k = head_rows(o.keys, token, kv_head, o.D);
  const HeadRows<const T> v = head_rows(o.values, token, kv_head, o.D);

  Fragment of_keys = {};
  Fragment of_values = {};
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    const HeadRows<const T> q = head_rows(o.queries, token, h, o.D);
    const HeadRows<const T> dy = head_rows(o.dy, token, h, o.D);
    for (int query_begin = key_begin; query_begin < tokens; query_begin += kAttentionTile) {
      // Documents begin ever later: from here on no query sees these keys.
      if (o.first_keys != nullptr && o.first_keys[token + query_begin] > key_last) break;
      Fragment scores = {};
      Fragment products = {};  // v dy^T
#pragma unroll 1
      for (int step = 0; step < item.chunks; ++step) {
        const int column = loaded_column(item, step);
        const TilePart key_part{key_begin, tokens - key_begin, column, D - column, o.vectors};
        const TilePart query_part{query_begin, tokens - query_begin, column, D - column, o.vectors};
        __syncthreads();  // the tiles before have been read
        if (item.chunks > 1 || (query_begin == key_begin && h == kv_head * group)) {
          load_tile(k, key_part, tiles.keys);
          load_tile(v, key_part, tiles.values);
        }
        load_tile(q, query_part, tiles.queries);
        load_tile(dy, query_part, tiles.dy);
        __syncthreads();
        add_row_products(tiles.keys, tiles.queries, query_part.columns, scores);
        add_row_products(tiles.values, tiles.dy, query_part.columns, products);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const QueryRow row = query_row(o, b * o.H + h, query_begin, thread_column() + 16 * j);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          scores[i][j] = probability(row, key_begin + thread_row() + 16 * i, scores[i][j] * o.scale);
          products[i][j] = scores[i][j] * (products[i][j] - row.delta);
        }
      }
      const int queries = tokens - query_begin;
      keep_weights(scores, tiles.weights);
      add_weighted_rows(tiles.weights, tiles.dy, queries, of_values);
      keep_weights(products, tiles.weights);
      add_weighted_rows(tiles.weights, tiles.queries, queries, of_keys);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) of_keys[i][j] *= o.scale;
  }
  const TilePart part{key_begin, tokens - key_begin, item.column, D - item.column, o.vectors};
  store_tile(of_keys, head_rows(o.keys_gradient, token, kv_head, o.D), part);
  store_tile(of_values, head_rows(o.values_gradient, token, kv_head, o.D), part);
}

}  // namespace trireme::runtime::cuda::plain_attention
