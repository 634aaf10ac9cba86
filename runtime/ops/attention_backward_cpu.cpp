#include <algorithm>
#include <cmath>

#include <omp.h>

#include "runtime/ops/attention_cpu.h"
#include "runtime/ops/attention_tiles_cpu.h"
#include "runtime/ops/tile_product_cpu.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kTile = kAttentionTile;

/// The scratch of one thread: a key/value head of a sequence, packed, with its gradients; and a tile of queries.
struct Tiles {
  float* keys;                ///< (T padded, D padded), as are the next three
  float* values;              //
  float* keys_gradient;       //
  float* values_gradient;     //
  float* queries;             ///< (tile, D padded), scaled by 1/sqrt(D)
  float* queries_transposed;  ///< (D, tile), scaled
  float* dy;                  ///< (tile, D padded)
  float* dy_transposed;       ///< (D, tile)
  float* queries_gradient;    ///< (tile, D padded)
  float* scores;              ///< (keys, queries), then probabilities
  float* scores_gradient;     ///< (keys, queries)
  float* log_sum_exp;         ///< (tile)
  float* delta;               ///< (tile): dot product of y and dy

  Tiles(float* scratch, int64_t T, int64_t D) {
    const int64_t width = round_up(D, kTileColumns);
    const auto take = [&scratch](int64_t elements) {
      float* taken = scratch;
      scratch += elements;
      return taken;
    };
    for (float** part : {&keys, &values, &keys_gradient, &values_gradient}) {
      *part = take(round_up(T, kTileRows) * width);
    }
    for (float** part : {&queries, &queries_transposed, &dy, &dy_transposed, &queries_gradient}) {
      *part = take(kTile * width);
    }
    for (float** part : {&scores, &scores_gradient}) *part = take(kTile * kTile);
    for (float** part : {&log_sum_exp, &delta}) *part = take(kTile);
  }
};

/// One key/value head of one sequence, and the query heads that share it.
struct Group {
  ConstView qkv;  ///< of the sequence, as are the next ones
  ConstView y;
  ConstView dy;
  const float* log_sum_exp = nullptr;  ///< (H, T)
  View dqkv;
  const int32_t* first_keys = nullptr;  ///< (T) or null
  int64_t kv_head = 0;
};

struct Backward {
  AttentionShape shape;
  int64_t row;    ///< of qkv
  int64_t width;  ///< D padded
  Tiles tiles;

  void pack_group(const Group& group) const;
  void pack_queries(const Group& group, int64_t head, int64_t begin, int64_t queries) const;
  void visit_keys(const ScoreTile& tile, bool is_first) const;
  void write_keys(const Group& group) const;
  void run(const Group& group) const;
};

void Backward::pack_group(const Group& group) const {
  const auto [B, T, H, K, D] = shape;
  const int64_t padded_rows = round_up(T, kTileRows);
  const PackedRows sizes{.rows = T, .D = D, .padded_rows = padded_rows, .padded_columns = width};
  const int64_t keys = (H + group.kv_head) * D;
  pack_rows({group.qkv, keys, row}, sizes, tiles.keys);
  pack_rows({group.qkv, keys + K * D, row}, sizes, tiles.values);
  std::fill_n(tiles.keys_gradient, padded_rows * width, 0.0f);
  std::fill_n(tiles.values_gradient, padded_rows * width, 0.0f);
}

void Backward::pack_queries(const Group& group, int64_t head, int64_t begin, int64_t queries) const {
  const int64_t T = shape.T;
  const int64_t D = shape.D;
  const int64_t y_row = shape.H * D;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  const HeadRows q{group.qkv, begin * row + head * D, row};
  const HeadRows y{group.y, begin * y_row + head * D, y_row};
  const HeadRows dy{group.dy, begin * y_row + head * D, y_row};
  pack_rows(q, {.rows = queries, .D = D, .padded_rows = kTile, .padded_columns = width, .scale = scale}, tiles.queries);
  pack_rows(dy, {.rows = queries, .D = D, .padded_rows = kTile, .padded_columns = width}, tiles.dy);
  pack_transposed(q, queries, D, scale, tiles.queries_transposed);
  pack_transposed(dy, queries, D, 1.0f, tiles.dy_transposed);
  // Queries of the padding have probability 1 and gradient 0: they add nothing.
  std::fill_n(tiles.log_sum_exp, kTile, 0.0f);
  std::fill_n(tiles.delta, kTile, 0.0f);
  std::copy_n(group.log_sum_exp + head * T + begin, queries, tiles.log_sum_exp);
  row_dots(y, dy, queries, D, tiles.delta);
}

/// What the keys of `tile` and the packed queries give to each other's gradients. The first call for the queries writes
/// theirs, later ones add to it.
void Backward::visit_keys(const ScoreTile& tile, bool is_first) const {
  const int64_t D = shape.D;
  const int64_t key_offset = tile.key_begin * width;
  TileProduct by_width{.a_row = width,  // (keys, D) times (D, queries)
                       .b_row = kTile,
                       .c_row = kTile,
                       .m = round_up(tile.keys, kTileRows),
                       .n = tile.queries,
                       .k = D,
                       .trim = Trim::columns_before_row,
                       .diagonal = tile.diagonal};
  by_width.a = tiles.keys + key_offset;
  by_width.b = tiles.queries_transposed;
  by_width.c = tiles.scores;
  multiply_tiles(by_width);
  by_width.a = tiles.values + key_offset;
  by_width.b = tiles.dy_transposed;
  by_width.c = tiles.scores_gradient;
  multiply_tiles(by_width);

  probabilities(tile, tiles.log_sum_exp);
  score_gradient(tile, tiles.delta, tiles.scores_gradient);

  TileProduct by_queries{.a_row = kTile,  // (keys, queries) times (queries, D)
                         .b_row = width,
                         .c_row = width,
                         .m = by_width.m,
                         .n = width,
                         .k = tile.queries,
                         .accumulate = true,
                         .trim = Trim::depth_before_row,
                         .diagonal = tile.diagonal};
  by_queries.a = tiles.scores;
  by_queries.b = tiles.dy;
  by_queries.c = tiles.values_gradient + key_offset;
  multiply_tiles(by_queries);
  by_queries.a = tiles.scores_gradient;
  by_queries.b = tiles.queries;
  by_queries.c = tiles.keys_gradient + key_offset;
  multiply_tiles(by_queries);

  multiply_tiles({.a = tiles.scores_gradient,  // (queries, keys) times (keys, D)
                  .a_row = 1,
                  .a_column = kTile,
                  .b = tiles.keys + key_offset,
                  .b_row = width,
                  .c = tiles.queries_gradient,
                  .c_row = width,
                  .m = tile.queries,
                  .n = width,
                  .k = tile.keys,
                  .accumulate = !is_first,
                  .trim = Trim::depth_after_row,
                  .diagonal = tile.diagonal});
}

void Backward::write_keys(const Group& group) const {
  const auto [B, T, H, K, D] = shape;
  const int64_t keys = (H + group.kv_head) * D;
  const PackedRows sizes{.rows = T, .D = D, .padded_columns = width};
  store_rows(tiles.keys_gradient, sizes, {group.dqkv, keys, row});
  store_rows(tiles.values_gradient, sizes, {group.dqkv, keys + K * D, row});
}

void Backward::run(const Group& group) const {
  const auto [B, T, H, K, D] = shape;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  pack_group(group);
  for (int64_t head = group.kv_head * (H / K); head < (group.kv_head + 1) * (H / K); ++head) {
    for (int64_t begin = 0; begin < T; begin += kTile) {
      const int64_t queries = std::min(kTile, T - begin);
      pack_queries(group, head, begin, queries);
      const TileFirstKeys first_keys(group.first_keys == nullptr ? nullptr : group.first_keys + begin, queries);
      for (int64_t key_begin = first_keys.first_tile(); key_begin < begin + queries; key_begin += kTile) {
        visit_keys({.scores = tiles.scores,
                    .keys = std::min(kTile, T - key_begin),
                    .queries = round_up(queries, kTileColumns),
                    .diagonal = begin - key_begin,
                    .key_begin = key_begin,
                    .first_keys = first_keys.data()},
                   key_begin == first_keys.first_tile());
      }
      store_rows(tiles.queries_gradient, {.rows = queries, .D = D, .padded_columns = width, .scale = scale},
                 {group.dqkv, begin * row + head * D, row});
    }
  }
  write_keys(group);
}

}  // namespace

int64_t attention_backward_scratch(const AttentionShape& shape) {
  const int64_t width = round_up(shape.D, kTileColumns);
  return 4 * round_up(shape.T, kTileRows) * width + 5 * kTile * width + 2 * kTile * kTile + 2 * kTile;
}

void attention_backward(const AttentionShape& shape, const AttentionBackward& args, View scratch) {
  const auto [B, T, H, K, D] = shape;
  const int64_t row = (H + 2 * K) * D;
  const int64_t scratch_row = scratch.shape[1];
  float* scratch_data = scratch.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t item = 0; item < shape.B * shape.K; ++item) {
    const int64_t b = item / shape.K;
    const int64_t token = b * shape.T;
    const Backward backward{.shape = shape,
                            .row = row,
                            .width = round_up(shape.D, kTileColumns),
                            .tiles = Tiles(scratch_data + omp_get_thread_num() * scratch_row, shape.T, shape.D)};
    backward.run({.qkv = args.qkv.rows(token, shape.T),
                  .y = args.y.rows(token, shape.T),
                  .dy = args.dy.rows(token, shape.T),
                  .log_sum_exp = args.log_sum_exp.as<float>() + token * shape.H,
                  .dqkv = args.dqkv.rows(token, shape.T),
                  .first_keys = args.first_keys.absent() ? nullptr : args.first_keys.as<int32_t>() + token,
                  .kv_head = item % shape.K});
  }
}

}  // namespace trireme::runtime::cpu
