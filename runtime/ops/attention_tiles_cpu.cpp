#include "runtime/ops/attention_tiles_cpu.h"

#include <algorithm>
#include <limits>

#include "runtime/ops/check.h"
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
  if (tile.first_keys != nullptr) {
    const int32_t* first_keys = tile.first_keys + begin;
    const int64_t masked = std::min(first_keys[kLanes - 1] - tile.key_begin, range.any);
    for (int64_t key = 0; key < masked; ++key) {
      float* scores = tile.scores + key * kAttentionTile + begin;
      const auto position = static_cast<int32_t>(tile.key_begin + key);
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) {
        scores[i] = position < first_keys[i] ? -std::numeric_limits<float>::infinity() : scores[i];
      }
    }
  }
  for (int64_t key = range.all; key < range.any; ++key) {
    float* scores = tile.scores + key * kAttentionTile + begin;
    const int first_visible = static_cast<int>(key - begin - tile.diagonal);
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      scores[i] = i < first_visible ? -std::numeric_limits<float>::infinity() : scores[i];
    }
  }
}

template <typename T>
[[gnu::always_inline]] inline const T* first_of(const HeadRows& rows) {
  return rows.tensor.as<T>() + rows.begin;
}

template <typename T>
TRIREME_SIMD void pack(const T* from, int64_t from_row, const PackedRows& sizes, float* to) {
  for (int64_t i = 0; i < sizes.rows; ++i) {
    float* row = to + i * sizes.padded_columns;
    const T* source = from + i * from_row;
    for (int64_t d = 0; d < sizes.D; ++d) row[d] = sizes.scale * source[d];
    for (int64_t d = sizes.D; d < sizes.padded_columns; ++d) row[d] = 0.0f;
  }
  std::fill(to + sizes.rows * sizes.padded_columns, to + sizes.padded_rows * sizes.padded_columns, 0.0f);
}

template <typename T>
TRIREME_SIMD void store(const float* from, const PackedRows& sizes, T* to, int64_t to_row) {
  for (int64_t i = 0; i < sizes.rows; ++i) {
    const float* source = from + i * sizes.padded_columns;
    T* row = to + i * to_row;
    for (int64_t d = 0; d < sizes.D; ++d) row[d] = sizes.scale * source[d];
  }
}

template <typename T>
TRIREME_SIMD void transpose(const T* from, int64_t from_row, const PackedRows& sizes, float* to) {
  for (int64_t d = 0; d < sizes.D; ++d) {
    float* column = to + d * kAttentionTile;
    for (int64_t i = 0; i < sizes.rows; ++i) column[i] = sizes.scale * from[i * from_row + d];
    for (int64_t i = sizes.rows; i < kAttentionTile; ++i) column[i] = 0.0f;
  }
}

template <typename T>
TRIREME_SIMD void dots(const HeadRows& a, const HeadRows& b, int64_t rows, int64_t D, float* delta) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* left = first_of<T>(a) + i * a.row;
    const T* right = first_of<T>(b) + i * b.row;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < D; ++d) sum += left[d] * right[d];
    delta[i] = sum;
  }
}

template <typename T>
TRIREME_SIMD void attend(const QueryRow& row, float* y) {
  const T* query = first_of<T>(row.query);
  const T* keys = first_of<T>(row.keys);
  const T* values = first_of<T>(row.values);
  float largest = -std::numeric_limits<float>::infinity();
  float total = 0.0f;
  for (int64_t d = 0; d < row.D; ++d) y[d] = 0.0f;
  for (int64_t begin = 0; begin < row.count; begin += kAttentionTile) {
    const int64_t count = std::min(kAttentionTile, row.count - begin);
    float weights[kAttentionTile];
    const float before = largest;
    for (int64_t j = 0; j < count; ++j) {
      const T* key = keys + (begin + j) * row.keys.row;
      float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
      for (int64_t d = 0; d < row.D; ++d) dot += query[d] * key[d];
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
      const T* value = values + (begin + j) * row.values.row;
      const float weight = weights[j];
#pragma omp simd
      for (int64_t d = 0; d < row.D; ++d) y[d] += weight * value[d];
    }
  }
  for (int64_t d = 0; d < row.D; ++d) y[d] /= total;
}

}  // namespace

TileFirstKeys::TileFirstKeys(const int32_t* first_keys, int64_t queries) : masked(first_keys != nullptr) {
  if (!masked) return;
  std::copy_n(first_keys, queries, values);
  std::fill(values + queries, values + kAttentionTile, values[queries - 1]);
}

void pack_rows(const HeadRows& from, const PackedRows& sizes, float* to) {
  with_storage(from.tensor.dtype, [&](auto zero) { pack(first_of<decltype(zero)>(from), from.row, sizes, to); });
}

void store_rows(const float* from, const PackedRows& sizes, const StoredRows& to) {
  with_storage(to.tensor.dtype,
               [&](auto zero) { store(from, sizes, to.tensor.as<decltype(zero)>() + to.begin, to.row); });
}

void pack_transposed(const HeadRows& from, int64_t rows, int64_t D, float scale, float* to) {
  const PackedRows sizes{.rows = rows, .D = D, .scale = scale};
  with_storage(from.tensor.dtype, [&](auto zero) { transpose(first_of<decltype(zero)>(from), from.row, sizes, to); });
}

void row_dots(const HeadRows& a, const HeadRows& b, int64_t rows, int64_t D, float* delta) {
  with_storage(a.tensor.dtype, [&](auto zero) { dots<decltype(zero)>(a, b, rows, D, delta); });
}

void attend_row(const QueryRow& row, float* y) {
  with_storage(row.query.tensor.dtype, [&](auto zero) { attend<decltype(zero)>(row, y); });
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
    // What is taken off before exp: -inf - -inf would be NaN where a query has seen no key of its document yet.
    float reference[kLanes];
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      reference[i] = largest[i] == -std::numeric_limits<float>::infinity() ? 0.0f : largest[i];
    }
    for (int64_t key = 0; key < range.any; ++key) {
      float* scores = tile.scores + key * kAttentionTile + begin;
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) {
        const float weight = fast_exp(scores[i] - reference[i]);
        scores[i] = weight;
        sum[i] += weight;
      }
    }
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const float shrink = fast_exp(before[i] - reference[i]);
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

}  // namespace trireme::runtime::cpu
