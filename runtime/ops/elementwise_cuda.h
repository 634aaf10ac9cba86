// elementwise on the GPU; see elementwise.h. elementwise_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/elementwise.h"

namespace trireme::runtime::cuda {

inline constexpr int64_t kSumBlock = 4096;
inline constexpr int64_t kSumGroup = 64;  ///< blocks
inline int64_t sum_blocks(int64_t n) {
  return (n + kSumBlock - 1) / kSumBlock;
}
inline int64_t sum_groups(int64_t n) {
  return (sum_blocks(n) + kSumGroup - 1) / kSumGroup;
}
/// Elements (fp64) of scratch: a sum a block, then a sum a group.
inline int64_t add_sum_of_squares_scratch(int64_t n) {
  return sum_blocks(n) + sum_groups(n);
}

void cast(CudaQueue& queue, ConstView x, View y);
void fill(CudaQueue& queue, View y, double value);
void add(CudaQueue& queue, ConstView a, ConstView b, View y);
void add_sum_of_squares(CudaQueue& queue, ConstView x, View total, View scratch);
void fill_normal(CudaQueue& queue, const NormalSource& source, int64_t begin, View y);

}  // namespace trireme::runtime::cuda
