#include "runtime/ops/embedding_cpu.h"

#include <algorithm>

#include "runtime/ops/check.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

template <typename T>
TRIREME_SIMD void add_rows(const T* a, const T* b, T* y, int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) y[c] = a[c] + b[c];
}

/// table[ids[i]] += dy[i] for the columns [begin, end), rows in index order.
template <typename T>
TRIREME_SIMD void scatter_add(ConstView ids, const T* dy, View table, int64_t begin, int64_t end) {
  const int64_t N = ids.shape[0];
  const int64_t C = table.shape[1];
  const int32_t* id = ids.as<int32_t>();
  float* rows = table.as<float>();
  for (int64_t i = 0; i < N; ++i) {
    const T* source = dy + i * C;
    float* target = rows + id[i] * C;
#pragma omp simd
    for (int64_t c = begin; c < end; ++c) target[c] += source[c];
  }
}

template <typename T>
void forward(const EmbeddingForward& args) {
  const int64_t N = args.tokens.shape[0];
  const int64_t C = args.token_table.shape[1];
  const int32_t* tokens = args.tokens.as<int32_t>();
  const T* token_table = args.token_table.as<T>();
  T* y = args.y.as<T>();
  if (args.position_table.absent()) {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < N; ++i) std::copy_n(token_table + tokens[i] * C, C, y + i * C);
    return;
  }
  const int32_t* positions = args.positions.as<int32_t>();
  const T* position_table = args.position_table.as<T>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    add_rows(token_table + tokens[i] * C, position_table + positions[i] * C, y + i * C, C);
  }
}

template <typename T>
void backward(const EmbeddingBackward& args) {
  const int64_t C = args.dtoken_table.shape[1];
  // Each thread owns a range of columns and meets the tokens in index order: no two threads write one element, and the
  // order of its additions is the same for every thread count.
  constexpr int64_t kStrip = 128;
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < C; begin += kStrip) {
    const int64_t end = std::min(C, begin + kStrip);
    const T* dy = args.dy.as<T>();
    scatter_add(args.tokens, dy, args.dtoken_table, begin, end);
    if (!args.dposition_table.absent()) scatter_add(args.positions, dy, args.dposition_table, begin, end);
  }
}

}  // namespace

void embedding_forward(const EmbeddingForward& args) {
  with_storage(args.y.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void embedding_backward(const EmbeddingBackward& args) {
  with_storage(args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace trireme::runtime::cpu
