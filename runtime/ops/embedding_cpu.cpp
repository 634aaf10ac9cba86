#include "runtime/ops/embedding_cpu.h"

#include <algorithm>
#include <cstring>

#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

TRIREME_SIMD void add_rows(const float* a, const float* b, float* y, int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) y[c] = a[c] + b[c];
}

/// table[ids[i]] += dy[i] for the columns [begin, end), rows in index order.
TRIREME_SIMD void scatter_add(const int32_t* ids, const float* dy, float* table, int64_t N, int64_t C, int64_t begin,
                              int64_t end) {
  for (int64_t i = 0; i < N; ++i) {
    const float* source = dy + i * C;
    float* target = table + ids[i] * C;
#pragma omp simd
    for (int64_t c = begin; c < end; ++c) target[c] += source[c];
  }
}

}  // namespace

void embedding_forward(const EmbeddingForward& args) {
  const int64_t N = args.tokens.shape[0];
  const int64_t C = args.token_table.shape[1];
  const int32_t* tokens = args.tokens.as<int32_t>();
  const float* token_table = args.token_table.as<float>();
  float* y = args.y.as<float>();
  if (args.position_table.absent()) {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < N; ++i) {
      std::memcpy(y + i * C, token_table + tokens[i] * C, static_cast<size_t>(C) * sizeof(float));
    }
    return;
  }
  const int32_t* positions = args.positions.as<int32_t>();
  const float* position_table = args.position_table.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i)
    add_rows(token_table + tokens[i] * C, position_table + positions[i] * C, y + i * C, C);
}

void embedding_backward(const EmbeddingBackward& args) {
  const int64_t N = args.tokens.shape[0];
  const int64_t C = args.dtoken_table.shape[1];
  // Each thread owns a range of columns and meets the tokens in index order: no two threads write one element, and the
  // order of its additions is the same for every thread count.
  constexpr int64_t kStrip = 128;
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < C; begin += kStrip) {
    const int64_t end = std::min(C, begin + kStrip);
    const float* dy = args.dy.as<float>();
    scatter_add(args.tokens.as<int32_t>(), dy, args.dtoken_table.as<float>(), N, C, begin, end);
    if (args.dposition_table.absent()) continue;
    scatter_add(args.positions.as<int32_t>(), dy, args.dposition_table.as<float>(), N, C, begin, end);
  }
}

}  // namespace trireme::runtime::cpu
