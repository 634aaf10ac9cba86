// The device functions of CUDA C++ that kernels of this project may use, for the host emulation: barriers, votes,
// shuffles, bits, arithmetic, cached loads, integer atomics. Semantics: NVIDIA, "CUDA C++ Programming Guide", sections
// on synchronisation, warp vote, warp shuffle and atomic functions; "CUDA Math API" for the intrinsics. There is no
// atomic on floating-point numbers on purpose: the order of such sums is not fixed.
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
inline int __all_sync(unsigned mask, int predicate, const TriremeSite site = TriremeSite::current()) {
  return __ballot_sync(mask, predicate == 0, site) == 0;
}
inline unsigned __activemask() {
  trireme::emulation::kernel_fault("__activemask has no defined answer: name the lanes", TriremeSite::current());
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

// One operating-system thread runs everything, one block after the other.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
[[noreturn]] inline void __trap() {
  trireme::emulation::kernel_fault("__trap", TriremeSite::current());
}

inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline int __ffsll(long long x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1;
}
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
  return reversed;
}
inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
}
inline int __mulhi(int x, int y) {
  return static_cast<int>(static_cast<int64_t>(x) * y >> 32);
}
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(x) * y >> 64);
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
inline long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) {
  return std::bit_cast<double>(x);
}
inline int __float2int_rn(float x) {
  return static_cast<int>(std::nearbyint(x));
}
inline int __float2int_rd(float x) {
  return static_cast<int>(std::floor(x));
}

inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline double rsqrt(double x) {
  return 1.0 / std::sqrt(x);
}
inline float __frsqrt_rn(float x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}
inline float __fsqrt_rn(float x) {
  return std::sqrt(x);
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float __fdiv_rn(float x, float y) {
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
inline float __fadd_rn(float x, float y) {
  float sum = x + y;
  asm("" : "+x"(sum));
  return sum;
}
inline float __fsub_rn(float x, float y) {
  return __fadd_rn(x, -y);
}
inline float __saturatef(float x) {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
// The C library declares these names for itself and does not define them.
extern "C" {
inline float __expf(float x) noexcept {
  return expf(x);
}
inline float __exp10f(float x) noexcept {
  return exp10f(x);
}
inline float __logf(float x) noexcept {
  return logf(x);
}
inline float __log2f(float x) noexcept {
  return log2f(x);
}
inline float __sinf(float x) noexcept {
  return sinf(x);
}
inline float __cosf(float x) noexcept {
  return cosf(x);
}
inline float __powf(float x, float y) noexcept {
  return powf(x, y);
}
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
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldcs(const T* address) {
  return *address;
}
template <typename T>
T __ldcg(const T* address) {
  return *address;
}
template <typename T>
T __ldca(const T* address) {
  return *address;
}
template <typename T>
T __ldlu(const T* address) {
  return *address;
}
template <typename T>
void __stcs(T* address, T value) {
  *address = value;
}
template <typename T>
void __stcg(T* address, T value) {
  *address = value;
}
template <typename T>
void __stwb(T* address, T value) {
  *address = value;
}

// Atomics on whole numbers: each gives the old value.
#define TRIREME_ATOMICS(T)                             \
  inline T atomicAdd(T* address, T value) {            \
    return __sync_fetch_and_add(address, value);       \
  }                                                    \
  inline T atomicOr(T* address, T value) {             \
    return __sync_fetch_and_or(address, value);        \
  }                                                    \
  inline T atomicAnd(T* address, T value) {            \
    return __sync_fetch_and_and(address, value);       \
  }                                                    \
  inline T atomicExch(T* address, T value) {           \
    const T old = *address;                            \
    *address = value;                                  \
    return old;                                        \
  }                                                    \
  inline T atomicCAS(T* address, T compare, T value) { \
    const T old = *address;                            \
    if (old == compare) *address = value;              \
    return old;                                        \
  }                                                    \
  inline T atomicMax(T* address, T value) {            \
    return atomicExch(address, max(*address, value));  \
  }                                                    \
  inline T atomicMin(T* address, T value) {            \
    return atomicExch(address, min(*address, value));  \
  }
TRIREME_ATOMICS(int)
TRIREME_ATOMICS(unsigned)
TRIREME_ATOMICS(unsigned long long)
#undef TRIREME_ATOMICS
void atomicAdd(float* address, float value) = delete;  // bit-equal runs: fix the order of a sum
void atomicAdd(double* address, double value) = delete;
inline int atomicSub(int* address, int value) {
  return atomicAdd(address, -value);
}
inline unsigned atomicSub(unsigned* address, unsigned value) {
  return atomicAdd(address, 0u - value);
}
// NOLINTEND
