// How the kernels of layer_norm and rms_norm spread a row over threads: some whole warps share it, vectors of 16
// bytes in turn. The share depends on C and the storage alone, so that rows which are not 16-byte aligned, read
// element by element by the same threads, are added up in the same order. It knows nothing of the formulas.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/vectors.cuh"

namespace trireme::runtime::cuda {

/// The most warps that share a row.
inline constexpr int kMostRowWarps = 16;
inline constexpr int kMostRowThreads = kMostRowWarps * static_cast<int>(kWarp);
/// So that no place in a row, nor the first one beyond it that a loop looks at, exceeds an int.
inline constexpr int64_t kMostRowElements = int64_t{1} << 30;

/// How a row is shared: by `warps`; `held` where the fewest that can hold it are not too many and its vectors are
/// aligned, else it is read again for each pass. Where a last round of the fewest would be nearly empty, more warps
/// take fewer rounds: up to twice as many, so that the places of all rounds (warps times rounds) are the fewest. A
/// thread keeps two rounds at least, whose loads are under way together.
struct RowPlan {
  int64_t warps;
  bool held;
};
template <typename T>
RowPlan plan_rows(int64_t C, int vectors_a_thread, bool aligned) {
  assert(C <= kMostRowElements);
  const int64_t warp_vectors = (C + kWarp * kVectorElements<T> - 1) / (kWarp * kVectorElements<T>);  // 32 vectors each
  const int64_t fewest = (warp_vectors + vectors_a_thread - 1) / vectors_a_thread;
  if (fewest > kMostRowWarps) return {.warps = kMostRowWarps, .held = false};
  const auto rounds = [&](int64_t warps) { return (warp_vectors + warps - 1) / warps; };
  int64_t best = fewest;
  for (int64_t warps = fewest + 1; warps <= std::min<int64_t>(2 * fewest, kMostRowWarps); ++warps) {
    if (rounds(warps) >= 2 && warps * rounds(warps) < best * rounds(best)) best = warps;
  }
  return {.warps = best, .held = aligned};
}

/// One thread's part of rows of C elements whose vectors are aligned: vectors thread, thread + threads, ...
template <typename T>
struct RowShare {
  int C;
  int thread;   ///< of those that share the row
  int threads;  ///< how many they are

  /// The first column of the thread's vector v.
  __device__ __forceinline__ int column(int v) const { return (v * threads + thread) * kVectorElements<T>; }
  __device__ __forceinline__ bool has(int v) const { return column(v) < C; }
  __device__ __forceinline__ uint4 load(const T* row, int v) const {
    return *reinterpret_cast<const uint4*>(row + column(v));
  }
  __device__ __forceinline__ void store(T* row, int v, uint4 words) const {
    *reinterpret_cast<uint4*>(row + column(v)) = words;
  }
  /// The thread's first kVectors vectors, zeros where it has none; all loads are under way before one is waited for.
  template <int kVectors>
  __device__ __forceinline__ void load_all(const T* row, uint4 (&words)[kVectors]) const {
#pragma unroll
    for (int v = 0; v < kVectors; ++v) words[v] = has(v) ? load(row, v) : uint4{};
  }
};

/// The same for rows of any alignment and C, where the last vector may be partly outside the row.
template <typename T>
struct AnyRowShare : RowShare<T> {
  bool aligned;  ///< rows can be read in vectors

  /// How many elements of vector v are inside the row.
  __device__ __forceinline__ int inside(int v) const {
    const int left = this->C - this->column(v);
    return left < 0 ? 0 : left < kVectorElements<T> ? left : kVectorElements<T>;
  }
  /// Zeros outside the row.
  __device__ __forceinline__ uint4 load(const T* row, int v) const {
    if (aligned) return RowShare<T>::load(row, v);
    Vector<T> elements;
#pragma unroll
    for (int i = 0; i < kVectorElements<T>; ++i)
      elements[i] = i < inside(v) ? to_float(row[this->column(v) + i]) : 0.0f;
    return pack(elements);
  }
  __device__ __forceinline__ void store(T* row, int v, uint4 words) const {
    if (aligned) {
      RowShare<T>::store(row, v, words);
      return;
    }
    const Vector<T> elements = unpack(words, T{});
#pragma unroll
    for (int i = 0; i < kVectorElements<T>; ++i)
      if (i < inside(v)) cuda::store(row + this->column(v) + i, elements[i]);
  }
};

/// Of a block that works on one row.
template <typename T>
__device__ __forceinline__ AnyRowShare<T> share_of_block(int64_t C, bool aligned) {
  return {{static_cast<int>(C), static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)}, aligned};
}

}  // namespace trireme::runtime::cuda
