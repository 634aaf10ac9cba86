// The device functions of CUDA C++ that kernels of this project call, for the host emulation: barriers, votes,
// shuffles, bits, arithmetic, cached loads, integer atomics; others are added when a kernel needs them. Semantics:
// NVIDIA, "CUDA C++ Programming Guide", sections on synchronisation, warp vote, warp shuffle and atomic functions;
// "CUDA Math API" for the intrinsics. There is no atomic on floating-point numbers on purpose: the order of such sums
// is not fixed.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "tests/emulation/threads.h"
#include "tests/emulation/vector_types.h"

// NOLINTBEGIN: the names are CUDA's.
using TriremeSite = trireme::emulation::Site;

inline void __syncthreads(const TriremeSite site = TriremeSite::current()) {
  trireme::emulation::block_barrier(0, site);
}
inline int __syncthreads_count(int predicate, const TriremeSite site = TriremeSite::current()) {
  return trireme::emulation::block_barrier(predicate, site).nonzero;
}
inline int __syncthreads_or(int predicate, const TriremeSite site = TriremeSite::current()) {
  return trireme::emulation::block_barrier(predicate, site).nonzero != 0;
}
inline int __syncthreads_and(int predicate, const TriremeSite site = TriremeSite::current()) {
  const trireme::emulation::BarrierVotes votes = trireme::emulation::block_barrier(predicate, site);
  return votes.nonzero == votes.threads;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, const TriremeSite site = TriremeSite::current()) {
  trireme::emulation::WarpExchange(mask, {}, "__syncwarp", site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, const TriremeSite site = TriremeSite::current()) {
  const trireme::emulation::WarpExchange exchange(mask, {predicate != 0 ? 1u : 0u}, "vote", site);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((exchange.lanes() >> lane & 1u) != 0 && exchange.of(lane)[0] != 0) votes |= 1u << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, const TriremeSite site = TriremeSite::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}

namespace trireme::emulation {

/// The value of lane `source`, or the own one where `inside` is false.
template <typename T>
T shuffle(unsigned mask, T value, unsigned source, bool inside, const Site& site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "CUDA shuffles values of 4 and 8 bytes");
  const WarpExchange exchange(mask, lane_value(value), "shuffle", site);
  return inside ? value_of<T>(exchange.of(source)) : value;
}

}  // namespace trireme::emulation

/// `width`: 2, 4, 8, 16 or 32; each group of that many lanes is a warp of its own.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, const TriremeSite site = TriremeSite::current()) {
  const unsigned lane = trireme::emulation::lane_index();
  const unsigned size = static_cast<unsigned>(width);
  return trireme::emulation::shuffle(mask, value, lane / size * size + static_cast<unsigned>(source) % size, true,
                                     site);
}
/// Lanes of groups below the own one may be read, those above give the own value.
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, const TriremeSite site = TriremeSite::current()) {
  const unsigned lane = trireme::emulation::lane_index();
  const unsigned size = static_cast<unsigned>(width);
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  return trireme::emulation::shuffle(mask, value, source, source < lane / size * size + size, site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const TriremeSite site = TriremeSite::current()) {
  const unsigned lane = trireme::emulation::lane_index();
  return trireme::emulation::shuffle(mask, value, lane - delta, delta <= lane % static_cast<unsigned>(width), site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const TriremeSite site = TriremeSite::current()) {
  const unsigned lane = trireme::emulation::lane_index();
  const unsigned size = static_cast<unsigned>(width);
  return trireme::emulation::shuffle(mask, value, lane + delta, delta < size && lane % size + delta < size, site);
}

inline int __popc(unsigned x) {
  return std::popcount(x);
}

inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}

inline float __fdividef(float x, float y) {
  return x / y;
}
inline float __fmaf_rn(float x, float y, float z) {
  return std::fma(x, y, z);
}
/// Never contracted with a neighbour into a fused multiply-add, as CUDA promises.
inline float __fmul_rn(float x, float y) {
  float product = x * y;
  asm("" : "+x"(product));
  return product;
}

// CUDA's overloads of min and max: the usual arithmetic conversions, and no NaN where the other is a number.
#define TRIREME_MIN_MAX(T)             \
  constexpr T min(T a, T b) noexcept { \
    return b < a ? b : a;              \
  }                                    \
  constexpr T max(T a, T b) noexcept { \
    return a < b ? b : a;              \
  }
TRIREME_MIN_MAX(int)
TRIREME_MIN_MAX(unsigned)
TRIREME_MIN_MAX(long)
TRIREME_MIN_MAX(unsigned long)
TRIREME_MIN_MAX(long long)
TRIREME_MIN_MAX(unsigned long long)
#undef TRIREME_MIN_MAX
inline float min(float a, float b) {
  return fminf(a, b);
}
inline float max(float a, float b) {
  return fmaxf(a, b);
}
inline double min(double a, double b) {
  return fmin(a, b);
}
inline double max(double a, double b) {
  return fmax(a, b);
}

template <typename T>
T __ldcs(const T* address) {
  return *address;
}
template <typename T>
void __stcs(T* address, T value) {
  *address = value;
}

// Atomics on whole numbers, while one thread of the operating system runs all of a grid: each gives the old value.
#define TRIREME_ATOMICS(T)                       \
  inline T atomicAdd(T* address, T value) {      \
    return __sync_fetch_and_add(address, value); \
  }                                              \
  inline T atomicMax(T* address, T value) {      \
    const T old = *address;                      \
    *address = max(old, value);                  \
    return old;                                  \
  }
TRIREME_ATOMICS(int)
TRIREME_ATOMICS(unsigned)
#undef TRIREME_ATOMICS
void atomicAdd(float* address, float value) = delete;  // bit-equal runs: fix the order of a sum
void atomicAdd(double* address, double value) = delete;
// NOLINTEND
