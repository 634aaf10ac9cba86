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

/// table[ids[i] - first_id] += dy[i] for the columns [begin, end), rows in index order; ids outside are left out.
template <typename T>
TRIREME_SIMD void scatter_add(ConstView ids, int64_t first_id, const T* dy, View table, int64_t begin, int64_t end) {
  const int64_t N = ids.shape[0];
  const int64_t V = table.shape[0];
  const int64_t C = table.shape[1];
  const int32_t* id = ids.as<int32_t>();
  float* rows = table.as<float>();
  for (int64_t i = 0; i < N; ++i) {
    const int64_t row = id[i] - first_id;
    if (row < 0 || row >= V) continue;
    const T* source = dy + i * C;
    float* target = rows + row * C;
#pragma omp simd
    for (int64_t c = begin; c < end; ++c) target[c] += source[c];
  }
}

template <typename T>
void forward(const EmbeddingForward& args) {
  const int64_t N = args.tokens.shape[0];
  const int64_t V = args.token_table.shape[0];
  const int64_t C = args.token_table.shape[1];
  const bool with_positions = !args.position_table.absent();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    const int64_t row = args.tokens.as<int32_t>()[i] - args.vocabulary_begin;
    const T* token = row >= 0 && row < V ? args.token_table.as<T>() + row * C : nullptr;
    const T* position = with_positions ? args.position_table.as<T>() + args.positions.as<int32_t>()[i] * C : nullptr;
    T* y = args.y.as<T>() + i * C;
    if (token != nullptr && position != nullptr) {
      add_rows(token, position, y, C);
    } else if (token != nullptr || position != nullptr) {
      std::copy_n(token != nullptr ? token : position, C, y);
    } else {
      std::fill_n(y, C, T(0.0f));
    }
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
    scatter_add(args.tokens, args.vocabulary_begin, dy, args.dtoken_table, begin, end);
    if (!args.dposition_table.absent()) scatter_add(args.positions, 0, dy, args.dposition_table, begin, end);
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
