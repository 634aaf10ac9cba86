// layer_norm on the GPU; see layer_norm.h. layer_norm_none.cpp stands in where the build has no CUDA.
#pragma once

#include <algorithm>

#include "runtime/cuda_queue.h"
#include "runtime/ops/layer_norm.h"

namespace trireme::runtime::cuda {

/// Blocks that add up columns: a fixed number, so that the sums are the same on every GPU.
inline constexpr int64_t kNormBackwardBlocks = 264;
/// Elements (fp32) of scratch: partial column sums of dweight and dbias.
inline int64_t layer_norm_backward_scratch(int64_t N, int64_t C) {
  return 2 * C * std::min(N, kNormBackwardBlocks);
}

void layer_norm_forward(CudaQueue& queue, const LayerNormForward& args);
void layer_norm_backward(CudaQueue& queue, const LayerNormBackward& args, View scratch);

}  // namespace trireme::runtime::cuda
