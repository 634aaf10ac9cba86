#include "runtime/ops/attention_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <omp.h>

#include "runtime/ops/attention_tiles_cpu.h"
#include "runtime/ops/check.h"
#include "runtime/ops/tile_product_cpu.h"

namespace trireme::runtime::cpu {
namespace {

/// Decoding steps of fewer tokens go row by row: a tile of 16 queries would be mostly padding.
constexpr int64_t kFewTokens = 4;

/// One query head of one sequence. Query t stands at position past + t; keys and values begin at position 0.
struct Head {
  HeadRows queries;
  HeadRows keys;
  HeadRows values;
  StoredRows y;
  float* log_sum_exp = nullptr;         ///< null: not wanted
  const int32_t* first_keys = nullptr;  ///< of the sequence; null: all 0
  int64_t T = 0;
  int64_t past = 0;
  int64_t D = 0;
};

/// The scratch of one thread.
struct Tiles {
  float* queries;  ///< (D, tile), scaled by 1/sqrt(D)
  float* keys;     ///< (tile, D)
  float* values;   ///< (tile, D padded)
  float* scores;   ///< (keys, queries)
  float* outputs;  ///< (tile, D padded)
  SoftmaxState softmax;

  Tiles(float* scratch, int64_t D) {
    const int64_t width = round_up(D, kTileColumns);
    queries = scratch;
    keys = queries + width * kAttentionTile;
    values = keys + width * kAttentionTile;
    outputs = values + width * kAttentionTile;
    scores = outputs + width * kAttentionTile;
    softmax.largest = scores + kAttentionTile * kAttentionTile;
    softmax.sum = softmax.largest + kAttentionTile;
    softmax.shrink = softmax.sum + kAttentionTile;
  }
};

template <typename Rows>
Rows from_row(Rows rows, int64_t first) {
  rows.begin += first * rows.row;
  return rows;
}

/// One step of the online softmax: the keys of `scores` and their values for the packed queries. The first step writes
/// the outputs, later ones add to them.
void attend_keys(const Head& head, const Tiles& tiles, const ScoreTile& scores, bool is_first) {
  const int64_t D = head.D;
  const int64_t key_begin = scores.key_begin;
  const int64_t keys = scores.keys;
  const int64_t width = round_up(D, kTileColumns);
  const int64_t padded_keys = round_up(keys, kTileRows);
  pack_rows(from_row(head.keys, key_begin), {.rows = keys, .D = D, .padded_rows = padded_keys, .padded_columns = D},
            tiles.keys);
  pack_rows(from_row(head.values, key_begin), {.rows = keys, .D = D, .padded_rows = keys, .padded_columns = width},
            tiles.values);
  multiply_tiles({.a = tiles.keys,
                  .a_row = D,
                  .b = tiles.queries,
                  .b_row = kAttentionTile,
                  .c = tiles.scores,
                  .c_row = kAttentionTile,
                  .m = padded_keys,
                  .n = scores.queries,
                  .k = D,
                  .trim = Trim::columns_before_row,
                  .diagonal = scores.diagonal});
  online_softmax(scores, tiles.softmax);
  if (!is_first) scale_rows(tiles.softmax.shrink, scores.queries, width, tiles.outputs);
  multiply_tiles({.a = tiles.scores,
                  .a_row = 1,
                  .a_column = kAttentionTile,
                  .b = tiles.values,
                  .b_row = width,
                  .c = tiles.outputs,
                  .c_row = width,
                  .m = scores.queries,
                  .n = width,
                  .k = keys,
                  .accumulate = !is_first,
                  .trim = Trim::depth_after_row,
                  .diagonal = scores.diagonal});
}

/// Queries [begin, begin + kAttentionTile) of a head over all keys they may see.
void attend_tile(const Head& head, int64_t begin, const Tiles& tiles) {
  const int64_t D = head.D;
  const int64_t width = round_up(D, kTileColumns);
  const int64_t queries = std::min(kAttentionTile, head.T - begin);
  const int64_t padded_queries = round_up(queries, kTileColumns);
  pack_transposed(from_row(head.queries, begin), queries, D, 1.0f / std::sqrt(static_cast<float>(D)), tiles.queries);
  std::fill_n(tiles.softmax.largest, kAttentionTile, -std::numeric_limits<float>::infinity());
  std::fill_n(tiles.softmax.sum, kAttentionTile, 0.0f);

  const int64_t first_position = head.past + begin;
  const int64_t visible = first_position + queries;
  const TileFirstKeys first_keys(head.first_keys == nullptr ? nullptr : head.first_keys + begin, queries);
  for (int64_t key_begin = first_keys.first_tile(); key_begin < visible; key_begin += kAttentionTile) {
    attend_keys(head, tiles,
                {.scores = tiles.scores,
                 .keys = std::min(kAttentionTile, visible - key_begin),
                 .queries = padded_queries,
                 .diagonal = first_position - key_begin,
                 .key_begin = key_begin,
                 .first_keys = first_keys.data()},
                key_begin == first_keys.first_tile());
  }

  const SoftmaxState& softmax = tiles.softmax;
  for (int64_t i = 0; i < queries; ++i) softmax.shrink[i] = 1.0f / softmax.sum[i];
  scale_rows(softmax.shrink, queries, width, tiles.outputs);
  store_rows(tiles.outputs, {.rows = queries, .D = D, .padded_columns = width}, from_row(head.y, begin));
  if (head.log_sum_exp == nullptr) return;
  for (int64_t i = 0; i < queries; ++i) {
    head.log_sum_exp[begin + i] = softmax.largest[i] + std::log(softmax.sum[i]);
  }
}

/// All heads of all sequences in tiles of queries. The longest tiles come first, and each round of equal ones is spread
/// over the threads.
template <typename MakeHead>
void attend_all(const AttentionShape& shape, View scratch, const MakeHead& make_head) {
  const int64_t heads = shape.B * shape.H;
  const int64_t tiles = (shape.T + kAttentionTile - 1) / kAttentionTile;
  const int64_t scratch_row = scratch.shape[1];
  float* scratch_data = scratch.as<float>();
#pragma omp parallel for schedule(static, 1)
  for (int64_t item = 0; item < heads * tiles; ++item) {
    const Head head = make_head(item % heads / shape.H, item % heads % shape.H);
    attend_tile(head, (tiles - 1 - item / heads) * kAttentionTile,
                Tiles(scratch_data + omp_get_thread_num() * scratch_row, shape.D));
  }
}

/// Keys and values of the new tokens go behind the `past` ones.
template <typename T>
void append_to_caches(const AttentionShape& shape, const CachedAttention& args) {
  const auto [B, tokens, H, K, D] = shape;
  const int64_t T_max = args.key_cache.shape[1];
  T* key_cache = args.key_cache.as<T>();
  T* value_cache = args.value_cache.as<T>();
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t t = 0; t < tokens; ++t) {
      const T* keys = args.qkv.as<T>() + (b * tokens + t) * (H + 2 * K) * D + H * D;
      const int64_t to = (b * T_max + args.past + t) * K * D;
      std::copy_n(keys, K * D, key_cache + to);
      std::copy_n(keys + K * D, K * D, value_cache + to);
    }
  }
}

/// scratch (D): a row of y before it is stored.
void attend_rows(const Head& head, float* scratch) {
  for (int64_t t = 0; t < head.T; ++t) {
    attend_row({.query = from_row(head.queries, t),
                .keys = head.keys,
                .values = head.values,
                .count = head.past + t + 1,
                .D = head.D,
                .scale = 1.0f / std::sqrt(static_cast<float>(head.D))},
               scratch);
    store_rows(scratch, {.rows = 1, .D = head.D}, from_row(head.y, t));
  }
}

}  // namespace

int64_t attention_forward_scratch(const AttentionShape& shape) {
  const int64_t width = round_up(shape.D, kTileColumns);
  return (4 * width + kAttentionTile + 3) * kAttentionTile;
}

void attention_forward(const AttentionShape& shape, const AttentionForward& args, View scratch) {
  const int64_t T = shape.T;
  const int64_t H = shape.H;
  const int64_t K = shape.K;
  const int64_t D = shape.D;
  const int64_t row = (H + 2 * K) * D;
  attend_all(shape, scratch, [=](int64_t b, int64_t h) {
    const int64_t sequence = b * T * row;
    const int64_t kv_head = h / (H / K);
    return Head{.queries = {args.qkv, sequence + h * D, row},
                .keys = {args.qkv, sequence + (H + kv_head) * D, row},
                .values = {args.qkv, sequence + (H + K + kv_head) * D, row},
                .y = {args.y, b * T * H * D + h * D, H * D},
                .log_sum_exp = args.log_sum_exp.as<float>() + (b * H + h) * T,
                .first_keys = args.first_keys.absent() ? nullptr : args.first_keys.as<int32_t>() + b * T,
                .T = T,
                .past = 0,
                .D = D};
  });
}

void cached_attention(const AttentionShape& shape, const CachedAttention& args, View scratch) {
  const int64_t T = shape.T;
  const int64_t H = shape.H;
  const int64_t K = shape.K;
  const int64_t D = shape.D;
  const int64_t row = (H + 2 * K) * D;
  const int64_t T_max = args.key_cache.shape[1];
  with_storage(args.qkv.dtype, [&](auto zero) { append_to_caches<decltype(zero)>(shape, args); });

  const auto make_head = [&](int64_t b, int64_t h) {
    const int64_t cache_begin = b * T_max * K * D + h / (H / K) * D;
    return Head{.queries = {args.qkv, b * T * row + h * D, row},
                .keys = {args.key_cache, cache_begin, K * D},
                .values = {args.value_cache, cache_begin, K * D},
                .y = {args.y, b * T * H * D + h * D, H * D},
                .T = T,
                .past = args.past,
                .D = D};
  };
  if (T >= kFewTokens) {
    attend_all(shape, scratch, make_head);
    return;
  }
  const int64_t heads = shape.B * H;
#pragma omp parallel for schedule(static) if (heads > 1 && heads * args.past * D > 1 << 14)
  for (int64_t item = 0; item < heads; ++item) {
    attend_rows(make_head(item / H, item % H), scratch.as<float>() + omp_get_thread_num() * scratch.shape[1]);
  }
}

}  // namespace trireme::runtime::cpu
