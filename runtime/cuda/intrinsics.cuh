// What kernels need of the GPU beyond CUDA C++: tensor-core products, loads of their fragments, asynchronous copies
// into shared memory, dynamic shared memory, rounding to bf16 in pairs. Everything is a function, so that the same
// kernels run on the host: tests/emulation/include has this header's twin, chosen by the include path. PTX names and
// fragment layouts: NVIDIA, "Parallel Thread Execution ISA", sections mma.m16n8k16, ldmatrix, cp.async.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace trireme::runtime::cuda {

/// The block's dynamic shared memory, 128-byte aligned; the launch says how much there is.
template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char block_shared_memory[];
  return reinterpret_cast<T*>(block_shared_memory);
}

/// Two bf16 in a word, each rounded to nearest even; `low` lies at the lower address.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/// 2^x to 2 ulp, 0 for -inf.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// log2(x) to 1e-6 absolute near 1, relative elsewhere.
__device__ __forceinline__ float fast_log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// d += a b over the warp: a (16, 16) bf16 by rows, b (16, 8) bf16 by columns, d (16, 8) fp32. With g = lane / 4 and
/// t = lane % 4: a[0..3] hold (g, 2t..), (g+8, 2t..), (g, 2t+8..), (g+8, 2t+8..), two neighbours along k each; b[0..1]
/// hold (2t.., g), (2t+8.., g); d[0..3] are (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Four 8x8 matrices of bf16 from shared memory: lanes 8 i .. 8 i + 7 give the addresses of the rows of matrix i (16
/// bytes each, 16-byte aligned); r[i] of a lane holds elements (lane / 4, 2 (lane % 4)) and the one right of it.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// The same, each matrix transposed.
__device__ __forceinline__ void ldmatrix_x4_transposed(uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// Starts copying 16 aligned bytes to shared memory; where `valid` is false zeros are written and nothing is read.
/// Visible to the block after copy_async_commit, copy_async_wait and a barrier.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, bool valid) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(address), "l"(__cvta_generic_to_global(global)), "r"(valid ? 16 : 0)
               : "memory");
}

/// Ends a group of this thread's copies.
__device__ __forceinline__ void copy_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most the newest kPending groups of this thread are unfinished.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// 16 bytes that will not be read again soon: kept out of the way of what L2 should hold.
__device__ __forceinline__ uint4 load_streaming(const uint4* address) {
  return __ldcs(address);
}
__device__ __forceinline__ void store_streaming(uint4* address, uint4 value) {
  __stcs(address, value);
}

}  // namespace trireme::runtime::cuda
