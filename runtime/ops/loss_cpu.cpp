#include "runtime/ops/loss_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/fast_exp.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

/// NaNs are passed over here and show in the sum of exponentials.
TRIREME_SIMD float row_max(const float* x, int64_t V) {
  float result = kNone;
#pragma omp simd reduction(max : result)
  for (int64_t v = 0; v < V; ++v) result = x[v] > result ? x[v] : result;
  return result;
}

/// By blocks: fp32 lanes that ran over a whole row of 50,257 would err by 3e-6.
TRIREME_SIMD float row_sum_of_exp(const float* x, int64_t V, float shift) {
  constexpr int64_t kBlock = 1024;
  double total = 0;
  for (int64_t begin = 0; begin < V; begin += kBlock) {
    const int64_t end = std::min(V, begin + kBlock);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t v = begin; v < end; ++v) sum += fast_exp(x[v] - shift);
    total += sum;
  }
  return static_cast<float>(total);
}

TRIREME_SIMD void row_softmax(float* x, int64_t V, float shift, float scale) {
#pragma omp simd
  for (int64_t v = 0; v < V; ++v) x[v] = fast_exp(x[v] - shift) * scale;
}

}  // namespace

void loss_partials(ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials) {
  const int64_t N = logits.shape[0];
  const int64_t V = logits.shape[1];
  const int32_t* target = targets.as<int32_t>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    const float* x = logits.as<float>() + i * V;
    float* partial = partials.as<float>() + 3 * i;
    const float max = row_max(x, V);
    const int64_t index = target[i] - vocabulary_begin;
    partial[0] = max;
    // A rank whose part of the vocabulary is masked with -inf has sum 0, not exp(-inf + inf).
    partial[1] = row_sum_of_exp(x, V, max == kNone ? 0 : max);
    partial[2] = target[i] >= 0 && index >= 0 && index < V ? x[index] : 0;
  }
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
  const int64_t N = logits.shape[0];
  const int64_t V = logits.shape[1];
  const float* partial = partials.as<float>();
  const int32_t* target = targets.as<int32_t>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    float* x = logits.as<float>() + i * V;
    if (target[i] < 0) {
      std::fill(x, x + V, 0.0f);
      continue;
    }
    row_softmax(x, V, partial[3 * i], 1 / partial[3 * i + 1]);
    const int64_t index = target[i] - vocabulary_begin;
    if (index >= 0 && index < V) x[index] -= 1;
  }
}

}  // namespace trireme::runtime::cpu
