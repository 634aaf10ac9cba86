#include "runtime/ops/elementwise_cuda.h"

#include <bit>
#include <numbers>

#include "runtime/cuda/map.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/ops/check.h"
#include "runtime/philox.h"

namespace trireme::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;

struct Identity {
  static __device__ __forceinline__ float of(const float (&x)[1]) { return x[0]; }
};

struct Sum {
  static __device__ __forceinline__ float of(const float (&a_b)[2]) { return a_b[0] + a_b[1]; }
};

constexpr int kCopyUnroll = 4;

/// Bits, of signalling NaNs too, which arithmetic would quieten. 16-byte words first, then the rest by units of 2.
__global__ void __launch_bounds__(kThreads) copy_kernel(const uint16_t* x, uint16_t* y, int64_t n, int64_t words) {
  const int64_t block = blockIdx.x;
  const int64_t first = block * kCopyUnroll * kThreads + threadIdx.x;
  uint4 values[kCopyUnroll];
#pragma unroll
  for (int u = 0; u < kCopyUnroll; ++u) {
    const int64_t word = first + u * kThreads;
    if (word < words) values[u] = load_streaming(reinterpret_cast<const uint4*>(x) + word);
  }
#pragma unroll
  for (int u = 0; u < kCopyUnroll; ++u) {
    const int64_t word = first + u * kThreads;
    if (word < words) reinterpret_cast<uint4*>(y)[word] = values[u];
  }
  for (int64_t i = words * 8 + block * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) y[i] = x[i];
}

void copy(CudaQueue& queue, ConstView x, View y) {
  const int64_t n = x.bytes() / 2;
  const bool aligned = fits_vectors<uint16_t>(0, x.data, y.data);
  const int64_t words = aligned ? n / 8 : 0;
  launch(queue, {.blocks = blocks_for(aligned ? words : n, kCopyUnroll * kThreads), .threads = kThreads}, copy_kernel,
         static_cast<const uint16_t*>(x.data), static_cast<uint16_t*>(y.data), n, words);
}

/// Elements as their bits; `word` is 16 bytes of them.
template <typename Bits>
__global__ void __launch_bounds__(kThreads) fill_kernel(Bits* y, Bits value, uint4 word, int64_t n, int64_t words) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < words) reinterpret_cast<uint4*>(y)[i] = word;
  constexpr int64_t kElements = 16 / sizeof(Bits);
  for (int64_t j = words * kElements + i; j < n; j += int64_t{gridDim.x} * kThreads) y[j] = value;
}

template <typename Bits>
void fill_bits(CudaQueue& queue, View y, Bits value) {
  struct Word {
    Bits elements[16 / sizeof(Bits)];
  };
  Word word;
  std::ranges::fill(word.elements, value);
  const int64_t n = y.elements();
  const bool aligned = fits_vectors<Bits>(0, y.data);
  const int64_t words = aligned ? n / kVectorElements<Bits> : 0;
  launch(queue, {.blocks = blocks_for(aligned ? words : n, kThreads), .threads = kThreads}, fill_kernel<Bits>,
         static_cast<Bits*>(y.data), value, std::bit_cast<uint4>(word), n, words);
}

/// sums[block] = sum of squares of elements [block * kSumBlock, ...). The cut among the threads and the order of a
/// thread's terms are the same for every address, so that the sum does not depend on where x lies.
__global__ void __launch_bounds__(kThreads)
    sum_of_squares_kernel(const float* x, int64_t n, bool aligned, double* sums) {
  __shared__ double warps[kThreads / kWarp];
  constexpr int kVectors = kSumBlock / (kThreads * 4);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kSumBlock + 4 * threadIdx.x;
  Vector<float> values[kVectors];
#pragma unroll
  for (int u = 0; u < kVectors; ++u) {
    const int64_t i = begin + u * int64_t{kThreads * 4};
    if (aligned && i + 4 <= n) {
      values[u] = load_vector_streaming(x + i);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) values[u][j] = i + j < n ? x[i + j] : 0.0f;
    }
  }
  double sum = 0;
#pragma unroll
  for (int u = 0; u < kVectors; ++u) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sum += static_cast<double>(values[u][j]) * static_cast<double>(values[u][j]);
  }
  sum = block_sum(sum, warps);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

constexpr unsigned kFoldThreads = 64;

/// groups[g] = the sum of group g's blocks, one after the other: a thread a group.
__global__ void __launch_bounds__(kFoldThreads) fold_groups_kernel(const double* sums, int64_t blocks, double* groups) {
  const int64_t group = static_cast<int64_t>(blockIdx.x) * kFoldThreads + threadIdx.x;
  const int64_t begin = group * kSumGroup;
  if (begin >= blocks) return;
  const int count = static_cast<int>(min(kSumGroup, blocks - begin));
  double result = 0;
#pragma unroll 8
  for (int i = 0; i < count; ++i) result += sums[begin + i];
  groups[group] = result;
}

/// total += groups[0], then groups[1], ... one after the other: so two calls over the parts of a tensor, cut between
/// groups, give the same bits as one. A single warp: the lanes hold a group each, and the next one meanwhile, and every
/// lane adds them all.
__global__ void __launch_bounds__(kWarp) add_in_order_kernel(const double* groups, int64_t count, double* total) {
  constexpr int kLanes = static_cast<int>(kWarp);
  const auto load = [&](int64_t i) { return i < count ? groups[i] : 0.0; };
  double result = *total;
  double coming = load(threadIdx.x);
  for (int64_t begin = 0; begin < count; begin += kLanes) {
    const double mine = coming;
    coming = load(begin + kLanes + threadIdx.x);
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) result += __shfl_sync(kAllLanes, mine, lane);  // 0 beyond the last
  }
  if (threadIdx.x == 0) *total = result;
}

/// Four elements of a tensor: see elementwise_cpu.cpp for what comes from which word. The angle is rounded to fp32
/// before its cosine is taken, as there.
__device__ __forceinline__ Vector<float> normals_of(const NormalSource& source, int64_t group) {
  const auto index = static_cast<uint64_t>(group);
  const PhiloxCounter words =
      philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(source.name_hash),
              static_cast<uint32_t>(source.name_hash >> 32)},
             philox_key(source.seed));
  Vector<float> normals;
#pragma unroll
  for (int pair = 0; pair < 4; pair += 2) {
    const float radius = source.standard_deviation * sqrtf(-2.0f * logf(1.0f - unit_float(words[pair])));
    const float angle = __fmul_rn(2.0f * std::numbers::pi_v<float>, unit_float(words[pair + 1]));
    normals[pair] = radius * cosf(angle);
    normals[pair + 1] = radius * sinf(angle);
  }
  return normals;
}

/// y[0] is element `begin` of the tensor; a thread makes a group of four, of which y may hold a part.
__global__ void __launch_bounds__(kThreads)
    fill_normal_kernel(NormalSource source, int64_t begin, int64_t n, float* y) {
  const int64_t group = begin / 4 + static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t first = group * 4 - begin;
  if (first >= n) return;
  const Vector<float> normals = normals_of(source, group);
  const bool whole = first >= 0 && first + 4 <= n;
  if (whole && reinterpret_cast<uintptr_t>(y + first) % 16 == 0) {
    store_vector(y + first, normals);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (first + i >= 0 && first + i < n) y[first + i] = normals[i];
  }
}

}  // namespace

void cast(CudaQueue& queue, ConstView x, View y) {
  const int64_t n = x.elements();
  if (x.dtype == y.dtype) {
    copy(queue, x, y);
  } else if (x.dtype == DType::fp32) {
    map<Identity>(queue, n, y.as<bf16>(), x.as<float>());
  } else {
    map<Identity>(queue, n, y.as<float>(), x.as<bf16>());
  }
}

void fill(CudaQueue& queue, View y, double value) {
  if (y.dtype == DType::fp64) {
    fill_bits(queue, y, std::bit_cast<uint64_t>(value));
  } else if (y.dtype == DType::fp32) {
    fill_bits(queue, y, std::bit_cast<uint32_t>(static_cast<float>(value)));
  } else {
    fill_bits(queue, y, bf16(static_cast<float>(value)).bits);
  }
}

void add(CudaQueue& queue, ConstView a, ConstView b, View y) {
  with_storage(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    map<Sum>(queue, a.elements(), y.as<T>(), a.as<T>(), b.as<T>());
  });
}

void add_sum_of_squares(CudaQueue& queue, ConstView x, View total, View scratch) {
  const int64_t n = x.elements();
  const int64_t blocks = sum_blocks(n);
  if (blocks == 0) return;
  auto* sums = scratch.as<double>();
  double* groups = sums + blocks;
  launch(queue, {.blocks = static_cast<unsigned>(blocks), .threads = kThreads}, sum_of_squares_kernel, x.as<float>(), n,
         fits_vectors<float>(0, x.data), sums);
  launch(queue, {.blocks = blocks_for(sum_groups(n), kFoldThreads), .threads = kFoldThreads}, fold_groups_kernel, sums,
         blocks, groups);
  launch(queue, {.blocks = 1, .threads = kWarp}, add_in_order_kernel, groups, sum_groups(n), total.as<double>());
}

void fill_normal(CudaQueue& queue, const NormalSource& source, int64_t begin, View y) {
  const int64_t n = y.elements();
  const int64_t groups = (begin + n + 3) / 4 - begin / 4;
  launch(queue, {.blocks = blocks_for(groups, kThreads), .threads = kThreads}, fill_normal_kernel, source, begin, n,
         y.as<float>());
}

}  // namespace trireme::runtime::cuda
