#include "runtime/ops/tile_product_cpu.h"

#include <algorithm>
#include <cassert>

#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

/// A strip of kTileRows rows and kWidth columns of c, held in registers over the whole depth. With AVX-512 4 x 64 are
/// 16 accumulators (155 of 202 Gflop/s measured on 64 x 64 x 64); with AVX2 4 x 16 are 8, more would spill.
template <int kWidth>
[[gnu::always_inline]] inline void multiply_strip(const TileProduct& p, const float* a, const float* b, float* c,
                                                  int64_t depth) {
  const int64_t a_row = p.a_row;
  const int64_t a_column = p.a_column;
  const int64_t b_row = p.b_row;
  float sums[kTileRows][kWidth];
#pragma GCC unroll 4
  for (int i = 0; i < kTileRows; ++i) {
#pragma omp simd
    for (int j = 0; j < kWidth; ++j) sums[i][j] = p.accumulate ? c[i * p.c_row + j] : 0.0f;
  }
  for (int64_t step = 0; step < depth; ++step) {
#pragma GCC unroll 4
    for (int i = 0; i < kTileRows; ++i) {
      const float factor = a[i * a_row + step * a_column];
#pragma omp simd
      for (int j = 0; j < kWidth; ++j) sums[i][j] += factor * b[step * b_row + j];
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTileRows; ++i) {
#pragma omp simd
    for (int j = 0; j < kWidth; ++j) c[i * p.c_row + j] = sums[i][j];
  }
}

struct Strip {
  int64_t first_column;
  int64_t first_step;
  int64_t end_step;
};

/// What remains of the strip that begins at `row`: a boundary inside the strip keeps all that any of its rows needs.
[[gnu::always_inline]] inline Strip trimmed(const TileProduct& p, int64_t row) {
  Strip strip{0, 0, p.k};
  const int64_t before = std::max(int64_t{0}, row - p.diagonal);
  switch (p.trim) {
    case Trim::none:
      break;
    case Trim::columns_before_row:
      strip.first_column = std::min(before, p.n) / kTileColumns * kTileColumns;
      break;
    case Trim::depth_after_row:
      strip.end_step = std::clamp(row + kTileRows + p.diagonal, int64_t{0}, p.k);
      break;
    case Trim::depth_before_row:
      strip.first_step = std::min(before, p.k);
      break;
  }
  return strip;
}

/// All strips; kWide: blocks of 64 columns while they last.
template <bool kWide>
[[gnu::always_inline]] inline void multiply_all(const TileProduct& p) {
  for (int64_t row = 0; row < p.m; row += kTileRows) {
    const Strip strip = trimmed(p, row);
    const float* a = p.a + row * p.a_row + strip.first_step * p.a_column;
    const float* b = p.b + strip.first_step * p.b_row;
    float* c = p.c + row * p.c_row;
    const int64_t depth = strip.end_step - strip.first_step;
    int64_t column = strip.first_column;
    if constexpr (kWide) {
      for (; column + 64 <= p.n; column += 64) multiply_strip<64>(p, a, b + column, c + column, depth);
      for (; column + 32 <= p.n; column += 32) multiply_strip<32>(p, a, b + column, c + column, depth);
    }
    for (; column < p.n; column += 16) multiply_strip<16>(p, a, b + column, c + column, depth);
  }
}

TRIREME_SIMD void multiply_wide(const TileProduct& product) {
  multiply_all<true>(product);
}

TRIREME_SIMD void multiply_narrow(const TileProduct& product) {
  multiply_all<false>(product);
}

}  // namespace

void multiply_tiles(const TileProduct& product) {
  assert(product.m % kTileRows == 0 && product.n % kTileColumns == 0);
  static const bool has_wide_registers = __builtin_cpu_supports("x86-64-v4");
  if (has_wide_registers) {
    multiply_wide(product);
  } else {
    multiply_narrow(product);
  }
}

}  // namespace trireme::runtime::cpu
