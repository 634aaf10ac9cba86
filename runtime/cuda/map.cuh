// y[i] = f(x[i], ...) over whole tensors: the kernel that elementwise ops share. Memory decides its time, so a thread
// starts several wide loads before it needs the first.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/vectors.cuh"

namespace trireme::runtime::cuda {

/// kCount elements in one access, 16 bytes or, of bf16 beside fp32, 8 bytes; aligned to its size. Loads are streaming:
/// what an elementwise op reads is not read again soon.
template <typename T, int kCount>
__device__ __forceinline__ void load_pack(const T* address, float (&values)[kCount]) {
  if constexpr (kCount == kVectorElements<T>) {
    const Vector<T> v = load_vector_streaming(address);
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = v[i];
  } else {
    static_assert(kCount == 4 && sizeof(T) == 2);
    const uint2 pairs = __ldcs(reinterpret_cast<const uint2*>(address));
    values[0] = __uint_as_float(pairs.x << 16);
    values[1] = __uint_as_float(pairs.x & 0xffff0000u);
    values[2] = __uint_as_float(pairs.y << 16);
    values[3] = __uint_as_float(pairs.y & 0xffff0000u);
  }
}

template <typename T, int kCount>
__device__ __forceinline__ void store_pack(T* address, const float (&values)[kCount]) {
  if constexpr (kCount == kVectorElements<T>) {
    Vector<T> v;
#pragma unroll
    for (int i = 0; i < kCount; ++i) v[i] = values[i];
    store_vector(address, v);
  } else {
    static_assert(kCount == 4 && sizeof(T) == 2);
    *reinterpret_cast<uint2*>(address) = make_uint2(pack_bf16(values[0], values[1]), pack_bf16(values[2], values[3]));
  }
}

/// True when packs of kCount elements can be accessed at `address`.
template <int kCount, typename T>
bool is_pack_aligned(const T* address) {
  return reinterpret_cast<uintptr_t>(address) % (kCount * sizeof(T)) == 0;
}

inline constexpr unsigned kMapThreads = 256;

template <typename From, int kInputs>
struct MapInputs {
  const From* at[kInputs];
};

/// The largest pack that no access of From or To exceeds 16 bytes with.
template <typename From, typename To>
inline constexpr int kMapPack = std::min(kVectorElements<From>, kVectorElements<To>);

/// Packs of every input that a thread has in flight: 4 would not fit the registers of a full multiprocessor.
inline constexpr int kMapUnroll = 2;

/// The first `packs` packs in wide accesses, what is left of the n elements one by one.
template <typename Function, typename From, typename To, int kInputs>
__global__ void __launch_bounds__(kMapThreads) map_kernel(MapInputs<From, kInputs> x, To* y, int64_t n, int64_t packs) {
  constexpr int kPack = kMapPack<From, To>;
  const int64_t block = blockIdx.x;
  const int64_t first = block * kMapUnroll * kMapThreads + threadIdx.x;
  float values[kMapUnroll][kInputs][kPack];
#pragma unroll
  for (int u = 0; u < kMapUnroll; ++u) {
    const int64_t pack = first + u * kMapThreads;
    if (pack >= packs) continue;
#pragma unroll
    for (int input = 0; input < kInputs; ++input) load_pack(x.at[input] + pack * kPack, values[u][input]);
  }
#pragma unroll
  for (int u = 0; u < kMapUnroll; ++u) {
    const int64_t pack = first + u * kMapThreads;
    if (pack >= packs) continue;
    float results[kPack];
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      float arguments[kInputs];
#pragma unroll
      for (int input = 0; input < kInputs; ++input) arguments[input] = values[u][input][i];
      results[i] = Function::of(arguments);
    }
    store_pack(y + pack * kPack, results);
  }
  for (int64_t i = packs * kPack + block * kMapThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kMapThreads) {
    float arguments[kInputs];
#pragma unroll
    for (int input = 0; input < kInputs; ++input) arguments[input] = to_float(x.at[input][i]);
    store(y + i, Function::of(arguments));
  }
}

/// y[i] = Function::of({x[i], more[i]...}) for i < n, a static device function over floats; y may be any of the inputs.
template <typename Function, typename To, typename From, typename... More>
void map(CudaQueue& queue, int64_t n, To* y, const From* x, const More*... more) {
  constexpr int kInputs = 1 + static_cast<int>(sizeof...(More));
  constexpr int kPack = kMapPack<From, To>;
  const bool aligned = is_pack_aligned<kPack>(y) && is_pack_aligned<kPack>(x) && (is_pack_aligned<kPack>(more) && ...);
  const int64_t packs = aligned ? n / kPack : 0;
  launch(queue, {.blocks = blocks_for(aligned ? packs : n, kMapUnroll * kMapThreads), .threads = kMapThreads},
         map_kernel<Function, From, To, kInputs>, MapInputs<From, kInputs>{{x, more...}}, y, n, packs);
}

}  // namespace trireme::runtime::cuda
