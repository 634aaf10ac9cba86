// attention on the GPU; see attention.h. attention_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/attention.h"

namespace trireme::runtime::cuda {

/// Elements (fp32) of scratch: the sum of dy * y of each row of each head.
inline int64_t attention_backward_scratch(const AttentionShape& shape) {
  return shape.B * shape.H * shape.T;
}

void attention_forward(CudaQueue& queue, const AttentionShape& shape, const AttentionForward& args);
void attention_backward(CudaQueue& queue, const AttentionShape& shape, const AttentionBackward& args, View scratch);
void cached_attention(CudaQueue& queue, const AttentionShape& shape, const CachedAttention& args);

}  // namespace trireme::runtime::cuda
