// What both kinds of backward kernels of attention on the GPU begin with.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/attention.h"

namespace trireme::runtime::cuda {

/// delta (B, H, T) fp32 = sum over each head's row of dy * y; y, dy (B*T, H D) fp32 or bf16, as they are stored. A
/// gradient of the scores is p * (dy v^T - delta). Reads s 2 B T H D bytes, writes 4 B H T.
void attention_delta(CudaQueue& queue, const AttentionShape& shape, ConstView y, ConstView dy, View delta);

}  // namespace trireme::runtime::cuda
