#include "runtime/ops/loss_cuda.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/vectors.cuh"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

constexpr int64_t kMostThreads = 256;  ///< of a row
constexpr int kBatch = 4;              ///< vectors that a thread has under way at once

/// A row of V logits: whole aligned vectors, and fewer than two vectors of single elements around them. With an odd V
/// the alignment changes from row to row.
template <typename T>
struct RowSplit {
  int64_t head;  ///< elements before the first vector
  int64_t vectors;
  int64_t edges;  ///< elements that are in no vector

  __device__ RowSplit(const T* row, int64_t V) {
    constexpr int64_t kElements = kVectorElements<T>;
    const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(row) / sizeof(T) % kElements);
    head = min((kElements - past) % kElements, V);
    vectors = (V - head) / kElements;
    edges = V - vectors * kElements;
  }
  /// The place in the row of edge element e.
  __device__ int64_t edge(int64_t e) const { return e < head ? e : e + vectors * kVectorElements<T>; }
};

/// Calls action(v, vector v) for this thread's share of `count` aligned vectors; what the action stores at v is loaded
/// by no other thread. Not streaming: the logits were written a moment ago, and their gradient is read soon.
template <typename T, typename Action>
__device__ __forceinline__ void for_each_vector(const T* vectors, int64_t count, Action action) {
  const auto* words = reinterpret_cast<const uint4*>(vectors);
  const int64_t stride = blockDim.x;
  int64_t v = threadIdx.x;
  for (; v + (kBatch - 1) * stride < count; v += kBatch * stride) {
    uint4 batch[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) batch[b] = words[v + b * stride];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) action(v + b * stride, unpack(batch[b], T{}));
  }
  for (; v < count; v += stride) action(v, unpack(words[v], T{}));
}

/// Online softmax (Milakov and Gimelshein 2018, arXiv:1805.02867), one to a thread.
struct OnlineSum {
  float max = -INFINITY;
  float sum = 0;  ///< of exp(x - max)

  /// The difference is rounded before it is scaled: logits near 1e4 lose nothing more than on the CPU.
  template <int kCount>
  __device__ __forceinline__ void add(const float (&x)[kCount]) {
    float most = x[0];
#pragma unroll
    for (int i = 1; i < kCount; ++i) most = fmaxf(most, x[i]);  // passes over NaN, which shows in the sum
    if (most > max) {
      sum *= fast_exp2((max - most) * std::numbers::log2e_v<float>);
      max = most;
    }
    const float shift = max == -INFINITY ? 0 : max;  // while all are masked: 0, not exp(-inf + inf)
    float added = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) added += fast_exp2((x[i] - shift) * std::numbers::log2e_v<float>);
    sum += added;
  }
};

/// A block a row. Rows from the last to the first: those that the product wrote last are in L2 still, and the gradient,
/// which goes from the first to the last, finds there what was read last here.
template <typename T>
__global__ void __launch_bounds__(kMostThreads)
    write_partials(const T* logits, const int32_t* targets, int64_t V, int64_t vocabulary_begin, float* partials) {
  __shared__ float maxima[kMostThreads / kWarp];
  __shared__ float sums[kMostThreads / kWarp];
  const int64_t i = gridDim.x - 1 - blockIdx.x;
  const T* x = logits + i * V;
  const RowSplit<T> split(x, V);
  OnlineSum row;
  if (threadIdx.x < split.edges) row.add({to_float(x[split.edge(threadIdx.x)])});
  for_each_vector(x + split.head, split.vectors, [&](int64_t, const Vector<T>& values) { row.add(values.values); });

  const float max = block_max(row.max, maxima);
  // Equal maxima may be infinite: no difference is taken.
  const float sum =
      block_sum(row.max == max ? row.sum : row.sum * fast_exp2((row.max - max) * std::numbers::log2e_v<float>), sums);
  if (threadIdx.x > 0) return;
  const int64_t target = targets[i];
  const int64_t index = target - vocabulary_begin;
  partials[3 * i] = max;
  partials[3 * i + 1] = sum;
  partials[3 * i + 2] = target >= 0 && index >= 0 && index < V ? to_float(x[index]) : 0.0f;
}

__global__ void merge_partials(const float* gathered, int64_t P, int64_t N, float* partials) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= N) return;
  float max = -INFINITY;
  for (int64_t rank = 0; rank < P; ++rank) max = fmaxf(max, gathered[3 * (rank * N + i)]);
  float sum = 0;
  float target_logit = 0;
  for (int64_t rank = 0; rank < P; ++rank) {
    const float* partial = gathered + 3 * (rank * N + i);
    sum += partial[1] * expf(partial[0] - max);
    target_logit += partial[2];
  }
  partials[3 * i] = max;
  partials[3 * i + 1] = sum;
  partials[3 * i + 2] = target_logit;
}

constexpr unsigned kTotalThreads = 1024;

/// One block: N logarithms are nothing beside N V exponentials, and the order of the sum depends on N alone.
__global__ void __launch_bounds__(kTotalThreads)
    add_totals(const float* partials, const int32_t* targets, int64_t N, double* totals) {
  __shared__ double losses[kTotalThreads / kWarp];
  __shared__ int counts[kTotalThreads / kWarp];
  double loss = 0;
  int count = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < N; i += kTotalThreads) {
    const double sum = partials[3 * i + 1];
    const double distance = static_cast<double>(partials[3 * i]) - partials[3 * i + 2];
    if (targets[i] < 0) continue;
    loss += log(sum) + distance;
    ++count;
  }
  loss = block_sum(loss, losses);
  count = block_sum(count, counts);
  if (threadIdx.x > 0) return;
  totals[0] += loss;
  totals[1] += count;
}

/// A block a row. The target's entry is rounded once: in bf16 the probability of a sure prediction is 1, but its
/// gradient is not 0.
template <typename T>
__global__ void __launch_bounds__(kMostThreads)
    write_gradient(const float* partials, const int32_t* targets, int64_t V, int64_t vocabulary_begin, T* logits) {
  const int64_t i = blockIdx.x;
  T* x = logits + i * V;
  const RowSplit<T> split(x, V);
  T* vectors = x + split.head;
  const int64_t target = targets[i];
  if (target < 0) {
    if (threadIdx.x < split.edges) store(x + split.edge(threadIdx.x), 0.0f);
    for (int64_t v = threadIdx.x; v < split.vectors; v += blockDim.x) {
      store_vector(vectors + v * kVectorElements<T>, Vector<T>{});
    }
    return;
  }
  const float max = partials[3 * i];
  const float scale = 1 / partials[3 * i + 1];
  const int64_t index = target - vocabulary_begin;
  if (threadIdx.x < split.edges) {
    const int64_t edge = split.edge(threadIdx.x);
    const float probability = expf(to_float(x[edge]) - max) * scale;
    store(x + edge, edge == index ? probability - 1 : probability);
  }
  for_each_vector(vectors, split.vectors, [&](int64_t v, Vector<T> values) {
    const int64_t first = split.head + v * kVectorElements<T>;
    const int64_t within = index - first;
#pragma unroll
    for (int e = 0; e < kVectorElements<T>; ++e) values[e] = expf(values[e] - max) * scale;
    if (within >= 0 && within < kVectorElements<T>) {
#pragma unroll
      for (int e = 0; e < kVectorElements<T>; ++e) values[e] -= e == within ? 1.0f : 0.0f;
    }
    store_vector(x + first, values);
  });
}

/// A block for each of N rows, no larger than a row of V elements asks for.
template <typename T>
Grid grid_of_rows(int64_t N, int64_t V) {
  const int64_t warps = blocks_for(V, int64_t{kWarp} * kVectorElements<T>);
  return {.blocks = static_cast<unsigned>(N),
          .threads = static_cast<unsigned>(std::min(kMostThreads, warps * int64_t{kWarp}))};
}

constexpr unsigned kPaddingThreads = 64;  ///< a vocabulary is padded by fewer elements than these, as a rule

/// A block a row.
template <typename T>
__global__ void __launch_bounds__(kPaddingThreads) write_padding(T* logits, int64_t columns, int64_t V) {
  T* row = logits + int64_t{blockIdx.x} * columns;
  for (int64_t v = V + threadIdx.x; v < columns; v += kPaddingThreads) store(row + v, -INFINITY);
}

}  // namespace

void mask_padding(CudaQueue& queue, int64_t V, View logits) {
  const int64_t N = logits.shape[0];
  const int64_t columns = logits.shape[1];
  if (N * (columns - V) == 0) return;
  with_storage(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(queue, {.blocks = static_cast<unsigned>(N), .threads = kPaddingThreads}, write_padding<T>, logits.as<T>(),
           columns, V);
  });
}

void loss_partials(CudaQueue& queue, ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials) {
  const int64_t N = logits.shape[0];
  const int64_t V = logits.shape[1];
  if (N == 0) return;
  with_storage(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(queue, grid_of_rows<T>(N, V), write_partials<T>, logits.as<T>(), targets.as<int32_t>(), V, vocabulary_begin,
           partials.as<float>());
  });
}

void loss_merge(CudaQueue& queue, ConstView gathered, View partials) {
  const int64_t P = gathered.shape[0];
  const int64_t N = gathered.shape[1];
  constexpr unsigned kThreads = 128;
  launch(queue, {.blocks = blocks_for(N, kThreads), .threads = kThreads}, merge_partials, gathered.as<float>(), P, N,
         partials.as<float>());
}

void loss_total(CudaQueue& queue, ConstView partials, ConstView targets, View totals) {
  launch(queue, {.blocks = 1, .threads = kTotalThreads}, add_totals, partials.as<float>(), targets.as<int32_t>(),
         targets.shape[0], totals.as<double>());
}

void loss_gradient(CudaQueue& queue, ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits) {
  const int64_t N = logits.shape[0];
  const int64_t V = logits.shape[1];
  if (N == 0) return;
  with_storage(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(queue, grid_of_rows<T>(N, V), write_gradient<T>, partials.as<float>(), targets.as<int32_t>(), V,
           vocabulary_begin, logits.as<T>());
  });
}

}  // namespace trireme::runtime::cuda
