#include "runtime/ops/attention_tiles_cpu.h"

#include <algorithm>
#include <limits>

#include "runtime/ops/fast_exp.h"
#include "runtime/ops/tile_product_cpu.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kLanes = 16;
static_assert(kTileColumns == kLanes);

/// Keys that every one of the queries [begin, begin + kLanes) may see, and that any of them may see.
struct KeyRange {
  int64_t all;
  int64_t any;
};
[[gnu::always_inline]] inline KeyRange visible_keys(const ScoreTile& tile, int64_t begin) {
  const int64_t first = begin + tile.diagonal;
  return {std::clamp(first + 1, int64_t{0}, tile.keys), std::clamp(first + kLanes, int64_t{0}, tile.keys)};
}

/// Masked scores of these queries become -inf, whose exp is 0.
[[gnu::always_inline]] inline void mask(const ScoreTile& tile, int64_t begin, KeyRange range) {
  for (int64_t key = range.all; key < range.any; ++key) {
    float* scores = tile.scores + key * kAttentionTile + begin;
    const int first_visible = static_cast<int>(key - begin - tile.diagonal);
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      scores[i] = i < first_visible ? -std::numeric_limits<float>::infinity() : scores[i];
    }
  }
}

}  // namespace

TRIREME_SIMD void pack_rows(HeadRows from, const PackedRows& sizes, float* to) {
  for (int64_t i = 0; i < sizes.rows; ++i) {
    float* row = to + i * sizes.padded_columns;
    const float* source = from.data + i * from.row;
    for (int64_t d = 0; d < sizes.D; ++d) row[d] = sizes.scale * source[d];
    for (int64_t d = sizes.D; d < sizes.padded_columns; ++d) row[d] = 0.0f;
  }
  std::fill(to + sizes.rows * sizes.padded_columns, to + sizes.padded_rows * sizes.padded_columns, 0.0f);
}

TRIREME_SIMD void pack_transposed(HeadRows from, int64_t rows, int64_t D, float scale, float* to) {
  for (int64_t d = 0; d < D; ++d) {
    float* column = to + d * kAttentionTile;
    for (int64_t i = 0; i < rows; ++i) column[i] = scale * from.data[i * from.row + d];
    for (int64_t i = rows; i < kAttentionTile; ++i) column[i] = 0.0f;
  }
}

TRIREME_SIMD void online_softmax(const ScoreTile& tile, const SoftmaxState& state) {
  for (int64_t begin = 0; begin < tile.queries; begin += kLanes) {
    const KeyRange range = visible_keys(tile, begin);
    mask(tile, begin, range);
    float largest[kLanes];
    float sum[kLanes];
    float before[kLanes];
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      before[i] = state.largest[begin + i];
      largest[i] = before[i];
      sum[i] = 0.0f;
    }
    for (int64_t key = 0; key < range.any; ++key) {
      const float* scores = tile.scores + key * kAttentionTile + begin;
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) largest[i] = scores[i] > largest[i] ? scores[i] : largest[i];
    }
    for (int64_t key = 0; key < range.any; ++key) {
      float* scores = tile.scores + key * kAttentionTile + begin;
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) {
        const float weight = fast_exp(scores[i] - largest[i]);
        scores[i] = weight;
        sum[i] += weight;
      }
    }
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const float shrink = fast_exp(before[i] - largest[i]);
      state.shrink[begin + i] = shrink;
      state.sum[begin + i] = state.sum[begin + i] * shrink + sum[i];
      state.largest[begin + i] = largest[i];
    }
  }
}

TRIREME_SIMD void probabilities(const ScoreTile& tile, const float* log_sum_exp) {
  for (int64_t begin = 0; begin < tile.queries; begin += kLanes) {
    const KeyRange range = visible_keys(tile, begin);
    mask(tile, begin, range);
    for (int64_t key = 0; key < range.any; ++key) {
      float* scores = tile.scores + key * kAttentionTile + begin;
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) scores[i] = fast_exp(scores[i] - log_sum_exp[begin + i]);
    }
  }
}

TRIREME_SIMD void score_gradient(const ScoreTile& tile, const float* delta, float* gradient) {
  for (int64_t begin = 0; begin < tile.queries; begin += kLanes) {
    const KeyRange range = visible_keys(tile, begin);
    for (int64_t key = 0; key < range.any; ++key) {
      const int64_t at = key * kAttentionTile + begin;
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) gradient[at + i] = tile.scores[at + i] * (gradient[at + i] - delta[begin + i]);
    }
  }
}

TRIREME_SIMD void scale_rows(const float* factor, int64_t rows, int64_t columns, float* values) {
  for (int64_t i = 0; i < rows; ++i) {
    float* row = values + i * columns;
    const float by = factor[i];
#pragma omp simd
    for (int64_t d = 0; d < columns; ++d) row[d] *= by;
  }
}

TRIREME_SIMD void row_dots(HeadRows a, HeadRows b, int64_t rows, int64_t D, float* delta) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* left = a.data + i * a.row;
    const float* right = b.data + i * b.row;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < D; ++d) sum += left[d] * right[d];
    delta[i] = sum;
  }
}

TRIREME_SIMD void attend_row(const QueryRow& row, float* y) {
  float largest = -std::numeric_limits<float>::infinity();
  float total = 0.0f;
  for (int64_t d = 0; d < row.D; ++d) y[d] = 0.0f;
  for (int64_t begin = 0; begin < row.count; begin += kAttentionTile) {
    const int64_t count = std::min(kAttentionTile, row.count - begin);
    float weights[kAttentionTile];
    const float before = largest;
    for (int64_t j = 0; j < count; ++j) {
      const float* key = row.keys.data + (begin + j) * row.keys.row;
      float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
      for (int64_t d = 0; d < row.D; ++d) dot += row.query[d] * key[d];
      weights[j] = row.scale * dot;
      largest = std::max(largest, weights[j]);
    }
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < count; ++j) {
      weights[j] = fast_exp(weights[j] - largest);
      sum += weights[j];
    }
    const float shrink = fast_exp(before - largest);
    total = total * shrink + sum;
    for (int64_t d = 0; d < row.D; ++d) y[d] *= shrink;
    for (int64_t j = 0; j < count; ++j) {
      const float* value = row.values.data + (begin + j) * row.values.row;
      const float weight = weights[j];
#pragma omp simd
      for (int64_t d = 0; d < row.D; ++d) y[d] += weight * value[d];
    }
  }
  for (int64_t d = 0; d < row.D; ++d) y[d] /= total;
}

}  // namespace trireme::runtime::cpu
