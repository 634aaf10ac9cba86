// Storage in 16-byte accesses, arithmetic in fp32: a Vector<T> is what one thread loads or stores at once, 4 fp32 or 8
// bf16 elements, held as floats.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "runtime/bf16.h"
#include "runtime/cuda/intrinsics.cuh"

namespace trireme::runtime::cuda {

template <typename T>
inline constexpr int kVectorElements = 16 / static_cast<int>(sizeof(T));

template <typename T>
struct Vector {
  float values[kVectorElements<T>];
  __device__ __forceinline__ float& operator[](int i) { return values[i]; }
  __device__ __forceinline__ float operator[](int i) const { return values[i]; }
};

__device__ __forceinline__ float to_float(float x) {
  return x;
}
__device__ __forceinline__ float to_float(bf16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}

__device__ __forceinline__ void store(float* address, float x) {
  *address = x;
}
/// Rounded to nearest even.
__device__ __forceinline__ void store(bf16* address, float x) {
  *reinterpret_cast<uint16_t*>(address) = static_cast<uint16_t>(pack_bf16(x, 0.0f));
}

/// The value that storing x as T and loading it again gives.
template <typename T>
__device__ __forceinline__ float rounded(float x) {
  if constexpr (sizeof(T) == 2) return __uint_as_float(pack_bf16(x, 0.0f) << 16);
  return x;
}

__device__ __forceinline__ Vector<float> unpack(uint4 words, float) {
  return {{__uint_as_float(words.x), __uint_as_float(words.y), __uint_as_float(words.z), __uint_as_float(words.w)}};
}
__device__ __forceinline__ Vector<bf16> unpack(uint4 words, bf16) {
  Vector<bf16> v;
  const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = __uint_as_float(pairs[i] << 16);
    v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
  }
  return v;
}

__device__ __forceinline__ uint4 pack(const Vector<float>& v) {
  return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3]));
}
__device__ __forceinline__ uint4 pack(const Vector<bf16>& v) {
  return make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
}

/// 16 aligned bytes at `address`.
template <typename T>
__device__ __forceinline__ Vector<T> load_vector(const T* address) {
  return unpack(*reinterpret_cast<const uint4*>(address), T{});
}
template <typename T>
__device__ __forceinline__ void store_vector(T* address, const Vector<T>& v) {
  *reinterpret_cast<uint4*>(address) = pack(v);
}

/// The same for bytes that no one reads again soon.
template <typename T>
__device__ __forceinline__ Vector<T> load_vector_streaming(const T* address) {
  return unpack(load_streaming(reinterpret_cast<const uint4*>(address)), T{});
}
template <typename T>
__device__ __forceinline__ void store_vector_streaming(T* address, const Vector<T>& v) {
  store_streaming(reinterpret_cast<uint4*>(address), pack(v));
}

/// True when rows of `row_elements` elements of T from all of `addresses` can be read in vectors.
template <typename T, typename... Addresses>
bool fits_vectors(int64_t row_elements, Addresses... addresses) {
  return row_elements % kVectorElements<T> == 0 && ((reinterpret_cast<uintptr_t>(addresses) % 16 == 0) && ...);
}

}  // namespace trireme::runtime::cuda
