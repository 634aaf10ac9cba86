// The plain kernels of attention's forward pass: by tiles, as attention_cpu.cpp does it, for a sequence or for new
// tokens behind cached ones; and one query at a time, for the few new tokens of a decoding step. To be included by
// attention_cuda.cu alone.
#pragma once

#include <cmath>

#include "runtime/ops/attention_tiles_cuda.cuh"

namespace trireme::runtime::cuda::plain_attention {

/// Query t of a sequence stands at position past + t; keys and values begin at position 0. Of every tensor the address
/// of its first head of the first sequence.
template <typename T>
struct ForwardOperands {
  HeadRows<const T> queries;  ///< (B*T rows, H heads of D)
  HeadRows<const T> keys;     ///< (B*keys_of_sequence rows, K heads of D), as are the values
  HeadRows<const T> values;
  HeadRows<T> y;
  float* log_sum_exp = nullptr;         ///< (B, H, T); null: not wanted
  const int32_t* first_keys = nullptr;  ///< (B*T); null: all 0
  int64_t T_new = 0;
  int64_t H = 0;
  int64_t K = 0;
  int64_t D = 0;
  int64_t past = 0;
  int64_t keys_of_sequence = 0;  ///< rows of keys from one sequence to the next
  float scale = 1;
  bool vectors = false;  ///< rows of all heads can be accessed 16 bytes at a time
};

template <typename T>
__device__ __forceinline__ HeadRows<T> head_rows(const HeadRows<T>& all, int64_t token, int64_t head, int64_t D) {
  return {all.first + token * all.row + head * D, all.row};
}

__host__ __device__ constexpr int64_t attention_tiles(int64_t elements) {
  return (elements + kAttentionTile - 1) / kAttentionTile;
}

/// What a block computes: one tile of tokens and one chunk of columns of one head.
struct AttentionItem {
  int64_t head;  ///< of all sequences
  int tile;
  int column;  ///< where the chunk begins
  int chunk;
  int chunks;
};

/// Blocks go by tiles, within them by heads, within them by chunks.
__device__ __forceinline__ AttentionItem attention_item(int64_t heads, int64_t D) {
  const auto chunks = static_cast<int>(attention_tiles(D));
  const int64_t block = blockIdx.x;
  const auto chunk = static_cast<int>(block % chunks);
  return {.head = block / chunks % heads,
          .tile = static_cast<int>(block / chunks / heads),
          .column = chunk * kAttentionTile,
          .chunk = chunk,
          .chunks = chunks};
}

/// What the online softmax keeps of a thread's rows.
struct RowState {
  float largest[4];
  float sum[4];
};

/// One step of the online softmax on the scores of 64 keys: scores become exp(score - largest), 0 where a row may not
/// see the key; what was summed before shrinks. Rows see [first_key[i], position[i]].
__device__ __forceinline__ void online_softmax(const int (&first_key)[4], int first_position, int key_begin,
                                               Fragment& scores, RowState& state, Fragment& outputs) {
  const int key = key_begin + thread_column();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int position = first_position + thread_row() + 16 * i;
    float largest = state.largest[i];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bool visible = key + 16 * j <= position && key + 16 * j >= first_key[i];
      scores[i][j] = visible ? scores[i][j] : -INFINITY;
      largest = fmaxf(largest, scores[i][j]);
    }
    largest = row_max(largest);
    // -inf - -inf would be NaN where a row has seen no key of its document yet.
    const float reference = largest == -INFINITY ? 0.0f : largest;
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      scores[i][j] = expf(scores[i][j] - reference);
      sum += scores[i][j];
    }
    const float shrink = expf(state.largest[i] - reference);
    state.sum[i] = state.sum[i] * shrink + row_sum(sum);
    state.largest[i] = largest;
#pragma unroll
    for (int j = 0; j < 4; ++j) outputs[i][j] *= shrink;
  }
}

/// A block has a tile of queries of a head and a chunk of columns of y; a head of several chunks has its scores
/// computed once for each. Tiles with the most keys first. Shared memory: tiles of queries, keys, values, weights.
inline constexpr int kForwardTiles = 4;
template <typename T>
__global__ void __launch_bounds__(kAttentionThreads, 2) attention_forward_kernel(ForwardOperands<T> o, int64_t B) {
  float* queries = dynamic_shared<float>();
  float* keys = queries + kAttentionTileFloats;
  float* values = keys + kAttentionTileFloats;
  float* weights = values + kAttentionTileFloats;

  const AttentionItem item = attention_item(B * o.H, o.D);
  const int64_t b = item.head / o.H;
  const int64_t h = item.head % o.H;
  const int64_t kv_head = h / (o.H / o.K);
  const auto D = static_cast<int>(o.D);
  const auto queries_end = static_cast<int>(o.T_new);
  const auto past = static_cast<int>(o.past);
  const int query_begin = (static_cast<int>(attention_tiles(o.T_new)) - 1 - item.tile) * kAttentionTile;
  const HeadRows<const T> q = head_rows(o.queries, b * o.T_new, h, o.D);
  const HeadRows<const T> k = head_rows(o.keys, b * o.keys_of_sequence, kv_head, o.D);
  const HeadRows<const T> v = head_rows(o.values, b * o.keys_of_sequence, kv_head, o.D);

  const int32_t* first_keys = o.first_keys == nullptr ? nullptr : o.first_keys + b * o.T_new + query_begin;
  int first_key[4] = {0, 0, 0, 0};
  for (int i = 0; i < 4 && first_keys != nullptr; ++i) {
    const int row = thread_row() + 16 * i;
    if (query_begin + row < queries_end) first_key[i] = first_keys[row];
  }
  // Documents begin ever later: no query of the tile sees a key before the first query's first one.
  const int tile_begin = first_keys == nullptr ? 0 : first_keys[0] / kAttentionTile * kAttentionTile;
  const int visible = past + min(queries_end, query_begin + kAttentionTile);

  const TilePart of_queries{query_begin, queries_end - query_begin, item.column, D - item.column, o.vectors};
  RowState state;
#pragma unroll
  for (int i = 0; i < 4; ++i) state.largest[i] = -INFINITY, state.sum[i] = 0.0f;
  Fragment outputs = {};
  for (int key_begin = tile_begin; key_begin < visible; key_begin += kAttentionTile) {
    const TilePart of_values{key_begin, visible - key_begin, item.column, D - item.column, o.vectors};
    Fragment scores = {};
    for (int chunk = 0; chunk < item.chunks; ++chunk) {
      const int column = chunk * kAttentionTile;
      TilePart part{query_begin, of_queries.rows, column, D - column, o.vectors};
      __syncthreads();  // the tiles before have been read
      if (item.chunks > 1 || key_begin == tile_begin) load_tile(q, part, queries);
      part.first_row = key_begin;
      part.rows = of_values.rows;
      load_tile(k, part, keys);
      if (chunk == 0) load_tile(v, of_values, values);
      __syncthreads();
      add_row_products(queries, keys, part.columns, scores);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) scores[i][j] *= o.scale;
    }
    online_softmax(first_key, past + query_begin, key_begin, scores, state, outputs);
    keep_weights(scores, weights);
    add_weighted_rows(weights, values, of_values.rows, outputs);
  }

#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int t = query_begin + thread_row() + 16 * i;
#pragma unroll
    for (int j = 0; j < 4; ++j) outputs[i][j] /= state.sum[i];
    if (o.log_sum_exp != nullptr && item.chunk == 0 && thread_column() == 0 && t < queries_end) {
      o.log_sum_exp[item.head * o.T_new + t] = state.largest[i] + logf(state.sum[i]);
    }
  }
  store_tile(outputs, head_rows(o.y, b * o.T_new, h, o.D), of_queries);
}

/// Queries one at a time: the block's warps share the keys by chunks of 32, each with an online softmax of its own, and
/// add up in their order at the end. A lane holds columns lane + 32 i of y.
inline constexpr int kRowWarps = 4;
inline constexpr int kRowMaxWidth = 256;
inline constexpr int kRowColumns = kRowMaxWidth / static_cast<int>(kWarp);

/// Dot products of the query with 32 keys, lane i receives that of key i; keys from `count` on give 0. `lanes` (a power
/// of two) share a key, 16 bytes each and at once as long as the row lasts.
template <typename T>
__device__ __forceinline__ void score_keys(const float* query, const HeadRows<const T>& keys, int64_t count,
                                           const ForwardOperands<T>& o, int lanes, float* scores) {
  constexpr int kElements = kVectorElements<T>;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int D = static_cast<int>(o.D);
  for (int begin = 0; begin < static_cast<int>(kWarp); begin += static_cast<int>(kWarp) / lanes) {
    const int key = begin + lane / lanes;
    float dot = 0.0f;
    if (key < count) {
      const T* row = keys.first + key * keys.row;
      for (int column = lane % lanes * kElements; column < D; column += lanes * kElements) {
        if (o.vectors) {
          const Vector<T> of_key = load_vector(row + column);
#pragma unroll
          for (int e = 0; e < kElements; ++e) dot += query[column + e] * of_key[e];
        } else {
          for (int e = 0; e < kElements && column + e < D; ++e) dot += query[column + e] * to_float(row[column + e]);
        }
      }
    }
    dot = lanes_sum(dot, lanes);
    if (lane % lanes == 0) scores[key] = dot;
  }
}

/// Lanes of a warp that share a row of D elements of T: as many as it has vectors, up to a power of two.
template <typename T>
int lanes_of_row(int64_t D) {
  int lanes = 1;
  while (lanes < static_cast<int>(kWarp) && lanes * kVectorElements<T> < D) lanes *= 2;
  return lanes;
}

/// D <= kRowMaxWidth; no document mask. Blocks: heads of the tokens of the sequences.
template <typename T>
__global__ void __launch_bounds__(kRowWarps* kWarp) attention_rows_kernel(ForwardOperands<T> o, int lanes) {
  __shared__ float query[kRowMaxWidth];
  __shared__ float weights[kRowWarps][kWarp];
  __shared__ float sums[kRowWarps][kRowMaxWidth];
  __shared__ float largest_of[kRowWarps];
  __shared__ float sum_of[kRowWarps];
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int warp = static_cast<int>(threadIdx.x / kWarp);
  const int D = static_cast<int>(o.D);
  const int64_t token = blockIdx.x / o.H;
  const int64_t h = blockIdx.x % o.H;
  const int64_t b = token / o.T_new;
  const int64_t visible = o.past + token % o.T_new + 1;
  const HeadRows<const T> q = head_rows(o.queries, token, h, o.D);
  for (int d = static_cast<int>(threadIdx.x); d < D; d += kRowWarps * static_cast<int>(kWarp)) {
    query[d] = to_float(q.first[d]);
  }
  __syncthreads();

  float largest = -INFINITY;
  float sum = 0.0f;
  float y[kRowColumns] = {};
  for (int64_t begin = warp * static_cast<int64_t>(kWarp); begin < visible; begin += kRowWarps * kWarp) {
    const int64_t count = min(visible - begin, static_cast<int64_t>(kWarp));
    const int64_t row = b * o.keys_of_sequence + begin;
    const HeadRows<const T> v = head_rows(o.values, row, h / (o.H / o.K), o.D);
    __syncwarp();  // the weights before have been read
    score_keys(query, head_rows(o.keys, row, h / (o.H / o.K), o.D), count, o, lanes, weights[warp]);
    __syncwarp();
    const float score = lane < count ? o.scale * weights[warp][lane] : -INFINITY;
    const float before = largest;
    largest = fmaxf(largest, warp_max(score));
    const float weight = expf(score - largest);
    const float shrink = expf(before - largest);
    sum = sum * shrink + warp_sum(weight);
    __syncwarp();
    weights[warp][lane] = weight;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kRowColumns; ++i) y[i] *= shrink;
    for (int j = 0; j < count; ++j) {
      const T* value = v.first + j * v.row + lane;
      const float by = weights[warp][j];
#pragma unroll
      for (int i = 0; i < kRowColumns; ++i) {
        if (lane + 32 * i < D) y[i] += by * to_float(value[32 * i]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kRowColumns; ++i) sums[warp][lane + 32 * i] = y[i];
  if (lane == 0) largest_of[warp] = largest, sum_of[warp] = sum;
  __syncthreads();

  // Warp 0 has seen a key: there is at least the query's own.
  float most = largest_of[0];
  for (int w = 1; w < kRowWarps; ++w) most = fmaxf(most, largest_of[w]);
  float total = 0.0f;
  for (int w = 0; w < kRowWarps; ++w) total += sum_of[w] * expf(largest_of[w] - most);
  const HeadRows<T> to = head_rows(o.y, token, h, o.D);
  for (int d = static_cast<int>(threadIdx.x); d < D; d += kRowWarps * static_cast<int>(kWarp)) {
    float value = 0.0f;
    for (int w = 0; w < kRowWarps; ++w) value += sums[w][d] * expf(largest_of[w] - most);
    store(to.first + d, value / total);
  }
}

}  // namespace trireme::runtime::cuda::plain_attention
