// rms_norm on the GPU; see rms_norm.h. rms_norm_none.cpp stands in where the build has no CUDA.
#pragma once

#include <algorithm>

#include "runtime/cuda_queue.h"
#include "runtime/ops/rms_norm.h"
#include "runtime/ops/layer_norm_cuda.h"

namespace trireme::runtime::cuda {

/// Elements (fp32) of scratch: partial column sums of dweight.
inline int64_t rms_norm_backward_scratch(int64_t N, int64_t C) {
  return C * std::min(N, kNormBackwardBlocks);
}

void rms_norm_forward(CudaQueue& queue, const RmsNormForward& args);
void rms_norm_backward(CudaQueue& queue, const RmsNormBackward& args, View scratch);

}  // namespace trireme::runtime::cuda
