#include "runtime/ops/loss_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/check.h"
#include "runtime/ops/fast_exp.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

constexpr int64_t kBlock = 2048;  ///< logits that stay in the first cache between two passes over them

/// Sum of exp(x - shift) in fp32 lanes. Compute-bound, so it fetches what lies a block further on meanwhile.
template <typename T>
[[gnu::always_inline]] inline float block_sum_of_exp(const T* x, int64_t count, float shift) {
  constexpr int64_t kLanes = 32;
  constexpr int64_t kCacheLine = 64 / sizeof(T);
  float lanes[kLanes] = {};
  int64_t v = 0;
  for (; v + kLanes <= count; v += kLanes) {
    for (int64_t line = 0; line < kLanes; line += kCacheLine) __builtin_prefetch(x + v + kBlock + line);
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] += fast_exp(x[v + i] - shift);
  }
  float sum = 0;
  for (; v < count; ++v) sum += fast_exp(x[v] - shift);
  for (const float lane : lanes) sum += lane;
  return sum;
}

struct RowSum {
  float max = kNone;
  double sum = 0;  ///< of exp(x - max)
};

/// Online softmax (Milakov and Gimelshein 2018, arXiv:1805.02867) by blocks, so that memory is read once. Blocks add up
/// in fp64: fp32 lanes that ran over a whole row of 50,257 would err by 3e-6.
template <typename T>
TRIREME_SIMD RowSum sum_of_exp(const T* x, int64_t V) {
  RowSum row;
  for (int64_t begin = 0; begin < V; begin += kBlock) {
    const int64_t end = std::min(V, begin + kBlock);
    float max = row.max;
#pragma omp simd reduction(max : max)
    for (int64_t v = begin; v < end; ++v) {
      const float value = x[v];
      max = value > max ? value : max;  // passes over NaN, which shows in the sum
    }
    if (max > row.max) row.sum *= std::exp(static_cast<double>(row.max) - max);
    row.max = max;
    // While all are masked the sum is 0, not exp(-inf + inf).
    row.sum += block_sum_of_exp(x + begin, end - begin, max == kNone ? 0 : max);
  }
  return row;
}

template <typename T>
TRIREME_SIMD void row_softmax(T* x, int64_t V, float shift, float scale) {
#pragma omp simd
  for (int64_t v = 0; v < V; ++v) x[v] = fast_exp(x[v] - shift) * scale;
}

template <typename T>
void write_partials(ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials) {
  const int64_t N = logits.shape[0];
  const int64_t V = logits.shape[1];
  const int32_t* target = targets.as<int32_t>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    const T* x = logits.as<T>() + i * V;
    float* partial = partials.as<float>() + 3 * i;
    const RowSum row = sum_of_exp(x, V);
    const int64_t index = target[i] - vocabulary_begin;
    partial[0] = row.max;
    partial[1] = static_cast<float>(row.sum);
    partial[2] = target[i] >= 0 && index >= 0 && index < V ? static_cast<float>(x[index]) : 0.0f;
  }
}

template <typename T>
void write_gradient(ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits) {
  const int64_t N = logits.shape[0];
  const int64_t V = logits.shape[1];
  const int32_t* target = targets.as<int32_t>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    T* x = logits.as<T>() + i * V;
    if (target[i] < 0) {
      std::fill(x, x + V, T(0.0f));
      continue;
    }
    const float* partial = partials.as<float>() + 3 * i;
    const float max = partial[0];
    const float scale = 1 / partial[1];
    const int64_t index = target[i] - vocabulary_begin;
    const bool is_here = index >= 0 && index < V;
    // Rounded once: in bf16 the probability of a sure prediction is 1, but its gradient is not 0.
    const float target_gradient = is_here ? fast_exp(x[index] - max) * scale - 1 : 0.0f;
    row_softmax(x, V, max, scale);
    if (is_here) x[index] = target_gradient;
  }
}

}  // namespace

void mask_padding(int64_t V, View logits) {
  const int64_t columns = logits.shape[1];
  with_storage(logits.dtype, [&](auto zero) {
    auto* values = logits.as<decltype(zero)>();
    for (int64_t i = 0; i < logits.shape[0]; ++i) {
      std::fill(values + i * columns + V, values + (i + 1) * columns, -std::numeric_limits<float>::infinity());
    }
  });
}

void loss_partials(ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials) {
  with_storage(logits.dtype,
               [&](auto zero) { write_partials<decltype(zero)>(logits, targets, vocabulary_begin, partials); });
}

void loss_merge(ConstView gathered, View partials) {
  const int64_t P = gathered.shape[0];
  const int64_t N = gathered.shape[1];
  const float* all = gathered.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    float max = kNone;
    for (int64_t rank = 0; rank < P; ++rank) max = std::max(max, all[3 * (rank * N + i)]);
    float sum = 0;
    float target_logit = 0;
    for (int64_t rank = 0; rank < P; ++rank) {
      const float* partial = all + 3 * (rank * N + i);
      sum += partial[1] * std::exp(partial[0] - max);
      target_logit += partial[2];
    }
    float* merged = partials.as<float>() + 3 * i;
    merged[0] = max;
    merged[1] = sum;
    merged[2] = target_logit;
  }
}

void loss_total(ConstView partials, ConstView targets, View totals) {
  const int64_t N = targets.shape[0];
  const float* partial = partials.as<float>();
  const int32_t* target = targets.as<int32_t>();
  double loss = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < N; ++i) {  // one thread: N logarithms are nothing beside N * V exponentials
    if (target[i] < 0) continue;
    loss += std::log(static_cast<double>(partial[3 * i + 1])) + partial[3 * i] - partial[3 * i + 2];
    ++count;
  }
  totals.as<double>()[0] += loss;
  totals.as<double>()[1] += static_cast<double>(count);
}

void loss_gradient(ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits) {
  with_storage(logits.dtype,
               [&](auto zero) { write_gradient<decltype(zero)>(partials, targets, vocabulary_begin, logits); });
}

}  // namespace trireme::runtime::cpu
