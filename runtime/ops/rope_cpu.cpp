#include "runtime/ops/rope_cpu.h"

#include <cmath>

#include "runtime/ops/check.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

/// The `heads` leading heads of one row of qkv, in place. direction -1 turns back.
template <typename T>
TRIREME_SIMD void rotate_heads(const float* table_row, float direction, T* row, int64_t heads, int64_t D) {
  const int64_t half = D / 2;
  const float* cosine = table_row;
  const float* sine = table_row + half;
  for (int64_t h = 0; h < heads; ++h) {
    T* first = row + h * D;
    T* second = first + half;
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float a = first[i];
      const float b = second[i];
      const float s = direction * sine[i];
      first[i] = a * cosine[i] - b * s;
      second[i] = b * cosine[i] + a * s;
    }
  }
}

}  // namespace

void fill_rope_table(double theta, View table) {
  const int64_t positions = table.shape[0];
  const int64_t D = table.shape[1];
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < positions; ++p) {
    float* row = table.as<float>() + p * D;
    for (int64_t i = 0; i < D / 2; ++i) {
      const double angle = static_cast<double>(p) * std::pow(theta, -2.0 * static_cast<double>(i) / D);
      row[i] = static_cast<float>(std::cos(angle));
      row[D / 2 + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void rope(const AttentionShape& shape, const Rope& args) {
  const auto [B, T, H, K, D] = shape;
  // Copies: OpenMP 4.5 has no structured bindings.
  const int64_t tokens = B * T;
  const int64_t heads = H + K;  // v, the last K of a row, stays
  const int64_t head_width = D;
  const int64_t width = (H + 2 * K) * D;
  const float* table = args.table.as<float>();
  const int32_t* positions = args.positions.as<int32_t>();
  const float direction = args.rotation == Rotation::forward ? 1.0f : -1.0f;
  with_storage(args.qkv.dtype, [&](auto zero) {
    auto* qkv = args.qkv.as<decltype(zero)>();
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < tokens; ++n) {
      rotate_heads(table + positions[n] * head_width, direction, qkv + n * width, heads, head_width);
    }
  });
}

}  // namespace trireme::runtime::cpu
