// The parts of attention that are not products, on one tile of kAttentionTile queries and keys: packing, the online
// softmax step, the gradient of the scores. Tiles are fp32; only packing and storing know that tensors may be bf16.
// Scores are held transposed, (key, query): a vector is 16 queries, so that maximum and sum over keys need no
// horizontal steps.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace trireme::runtime::cpu {

inline constexpr int64_t kAttentionTile = 64;

/// Rows of a head inside a wider tensor, fp32 or bf16.
struct HeadRows {
  ConstView tensor;
  int64_t begin = 0;  ///< element of the tensor where the first row begins
  int64_t row = 0;    ///< elements from one token to the next
};
struct StoredRows {
  View tensor;
  int64_t begin = 0;
  int64_t row = 0;
};

/// Sizes of a packed tile (padded_rows, padded_columns) that holds scale * `rows` rows of D elements.
struct PackedRows {
  int64_t rows = 0;
  int64_t D = 0;
  int64_t padded_rows = 0;
  int64_t padded_columns = 0;
  float scale = 1;
};
/// The rest of `to` becomes 0.
void pack_rows(const HeadRows& from, const PackedRows& sizes, float* to);
/// The other way: `to` = scale * the rows of the tile, rounded to its storage; the padding is left out.
void store_rows(const float* from, const PackedRows& sizes, const StoredRows& to);

/// to (D, kAttentionTile) = scale * transpose of the first `rows` rows; columns from `rows` on become 0.
void pack_transposed(const HeadRows& from, int64_t rows, int64_t D, float scale, float* to);

/// scores (keys, kAttentionTile) of queries in columns. Query i may see key j when j <= i + diagonal and
/// j >= first_keys[i] - key_begin.
struct ScoreTile {
  float* scores = nullptr;
  int64_t keys = 0;
  int64_t queries = 0;  ///< padded to kTileColumns
  int64_t diagonal = 0;
  int64_t key_begin = 0;                ///< position of the first key of the tile
  const int32_t* first_keys = nullptr;  ///< (queries), never decreasing; null: all 0
};

/// The document mask of a tile of queries: where their documents begin, padded with the last one.
struct TileFirstKeys {
  /// `first_keys` of the tile's first query on, null: there is no mask.
  TileFirstKeys(const int32_t* first_keys, int64_t queries);
  /// For ScoreTile.
  const int32_t* data() const { return masked ? values : nullptr; }
  /// The first position of the tiles of keys that any of the queries sees.
  int64_t first_tile() const { return masked ? values[0] / kAttentionTile * kAttentionTile : 0; }

  bool masked;
  int32_t values[kAttentionTile];
};

/// What the online softmax keeps for each query: the largest score so far, the sum of exp(score - largest), and by how
/// much the step shrank what was summed before.
struct SoftmaxState {
  float* largest = nullptr;
  float* sum = nullptr;
  float* shrink = nullptr;
};
/// scores become exp(score - largest), 0 where masked. A query that has seen no key yet keeps largest -inf and sum 0.
void online_softmax(const ScoreTile& tile, const SoftmaxState& state);

/// scores become probabilities exp(score - log_sum_exp[query]), 0 where masked.
void probabilities(const ScoreTile& tile, const float* log_sum_exp);

/// gradient (keys, kAttentionTile), of the probabilities, becomes that of the scores: p * (gradient - delta[query]).
void score_gradient(const ScoreTile& probabilities, const float* delta, float* gradient);

/// Row i of `values` (rows, columns) times factor[i].
void scale_rows(const float* factor, int64_t rows, int64_t columns, float* values);

/// delta[i] = dot product of row i of a and of b, for rows of D elements.
void row_dots(const HeadRows& a, const HeadRows& b, int64_t rows, int64_t D, float* delta);

/// One query over `count` keys, for the few tokens of a decoding step: y (D) = softmax(scale q k^T) v in fp32, with a
/// block of scores on the stack.
struct QueryRow {
  HeadRows query;
  HeadRows keys;
  HeadRows values;
  int64_t count = 0;
  int64_t D = 0;
  float scale = 1;
};
void attend_row(const QueryRow& row, float* y);

}  // namespace trireme::runtime::cpu
