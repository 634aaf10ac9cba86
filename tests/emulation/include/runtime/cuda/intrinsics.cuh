// The host's twin of runtime/cuda/intrinsics.cuh: the same functions with the documented results, and with checks that
// a GPU does not make. Which of the two a kernel gets is a matter of the include path.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "runtime/bf16.h"
#include "tests/emulation/threads.h"

namespace trireme::runtime::cuda {

template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(emulation::dynamic_shared_memory());
}

inline uint32_t pack_bf16(float low, float high) {
  return static_cast<uint32_t>(bf16(high).bits) << 16 | bf16(low).bits;
}

/// The GPU's forms flush subnormal numbers to zero; so do these.
inline float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}
inline float fast_exp2(float x) {
  return flushed(std::exp2(flushed(x)));
}
inline float fast_log2(float x) {
  return std::log2(flushed(x));
}

inline float bf16_of_pair(uint32_t pair, int which) {
  return std::bit_cast<float>(which == 0 ? pair << 16 : pair & 0xffff0000u);
}

inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         const emulation::Site site = emulation::Site::current()) {
  const emulation::WarpExchange exchange(0xffffffffu, {a[0], a[1], a[2], a[3], b[0], b[1]}, "mma", site);
  const unsigned lane = emulation::lane_index();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + 8 * (i / 2);
    const unsigned column = 2 * (lane % 4) + i % 2;
    float sum = d[i];
    for (unsigned k = 0; k < 16; ++k) {
      const uint32_t a_pair = exchange.of(row % 8 * 4 + k % 8 / 2)[row / 8 + 2 * (k / 8)];
      const uint32_t b_pair = exchange.of(column * 4 + k % 8 / 2)[4 + k / 8];
      sum += bf16_of_pair(a_pair, k % 2) * bf16_of_pair(b_pair, k % 2);
    }
    d[i] = sum;
  }
}

namespace ldmatrix {

/// Waits for the warp, checks the addresses and counts the conflicts; `read(rows)` with the eight rows of matrix i.
template <typename Read>
void of_warp(const void* row, const emulation::Site& site, const Read& read) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
    emulation::kernel_fault("ldmatrix: the address of a row is not a multiple of 16", site);
  const emulation::WarpExchange exchange(0xffffffffu, emulation::lane_value(row), "ldmatrix", site);
  for (unsigned i = 0; i < 4; ++i) {
    std::array<const void*, 8> rows;
    for (unsigned r = 0; r < 8; ++r) rows[r] = emulation::value_of<const void*>(exchange.of(8 * i + r));
    if (exchange.leads()) emulation::count_bank_conflicts(rows);
    read(i, rows);
  }
}

inline uint16_t element(const void* row, unsigned column) {
  uint16_t bits;
  std::memcpy(&bits, static_cast<const unsigned char*>(row) + 2 * column, sizeof bits);
  return bits;
}

}  // namespace ldmatrix

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, const emulation::Site site = emulation::Site::current()) {
  const unsigned lane = emulation::lane_index();
  ldmatrix::of_warp(row, site, [&](unsigned i, const std::array<const void*, 8>& rows) {
    const unsigned column = 2 * (lane % 4);
    r[i] = ldmatrix::element(rows[lane / 4], column) |
           static_cast<uint32_t>(ldmatrix::element(rows[lane / 4], column + 1)) << 16;
  });
}

inline void ldmatrix_x4_transposed(uint32_t (&r)[4], const void* row,
                                   const emulation::Site site = emulation::Site::current()) {
  const unsigned lane = emulation::lane_index();
  ldmatrix::of_warp(row, site, [&](unsigned i, const std::array<const void*, 8>& rows) {
    const unsigned line = 2 * (lane % 4);
    r[i] = ldmatrix::element(rows[line], lane / 4) | static_cast<uint32_t>(ldmatrix::element(rows[line + 1], lane / 4))
                                                         << 16;
  });
}

inline void copy_async_16(void* shared, const void* global, bool valid,
                          const emulation::Site site = emulation::Site::current()) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0)
    emulation::kernel_fault("copy_async_16: the shared address is not a multiple of 16", site);
  if (valid && reinterpret_cast<uintptr_t>(global) % 16 != 0)
    emulation::kernel_fault("copy_async_16: the global address is not a multiple of 16", site);
  emulation::start_copy(shared, valid ? global : nullptr);
}
inline void copy_async_commit() {
  emulation::commit_copies();
}
template <int kPending>
void copy_async_wait() {
  emulation::wait_for_copies(kPending);
}

inline uint4 load_streaming(const uint4* address) {
  return __ldcs(address);
}
inline void store_streaming(uint4* address, uint4 value) {
  __stcs(address, value);
}

}  // namespace trireme::runtime::cuda
