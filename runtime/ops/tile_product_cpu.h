// Products of small fp32 tiles that lie in cache, for kernels that are already inside a parallel region: no packing, no
// threads, no allocation. Half of a causal tile is nothing: `trim` says which part of the work may be left out.
#pragma once

#include <cstdint>

namespace trireme::runtime::cpu {

inline constexpr int64_t kTileRows = 4;      ///< rows of c computed together
inline constexpr int64_t kTileColumns = 16;  ///< widths of b and c are multiples of this

constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// What is left out of c = a b, in strips of kTileRows rows; `diagonal` shifts the boundary. Skipped elements of c are
/// not written; skipped elements of a and b are not read.
enum class Trim {
  none,
  columns_before_row,  ///< column j of row i when j < i - diagonal
  depth_after_row,     ///< step p of row i when p > i + diagonal
  depth_before_row,    ///< step p of row i when p < i - diagonal
};

/// c (m, n) = a (m, k) b (k, n), added to c where `accumulate`. Element (i, p) of a lies at i * a_row + p * a_column;
/// rows of b and c are contiguous. m is a multiple of kTileRows, n of kTileColumns (pad with zeros).
struct TileProduct {
  const float* a = nullptr;
  int64_t a_row = 0;
  int64_t a_column = 1;
  const float* b = nullptr;
  int64_t b_row = 0;
  float* c = nullptr;
  int64_t c_row = 0;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool accumulate = false;
  Trim trim = Trim::none;
  int64_t diagonal = 0;
};
void multiply_tiles(const TileProduct& product);

}  // namespace trireme::runtime::cpu
