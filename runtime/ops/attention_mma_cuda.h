// Attention of bf16 storage on tensor cores: FlashAttention-2 (Dao 2023, arXiv:2307.08691) for head widths 64 and 128.
// attention_cuda.cu asks whether a call fits and has kernels for all the others.
#pragma once

#include <initializer_list>

#include "runtime/cuda_queue.h"
#include "runtime/dtype.h"
#include "runtime/ops/attention.h"

namespace trireme::runtime::cuda {

/// Whether the kernels below take such a call, whose `rows` (qkv and y of the forward; qkv, dy and dqkv of the backward
/// pass) they reach 16 bytes at a time: all must begin at multiples of 16, as arenas give them.
bool attention_mma_fits(const AttentionShape& shape, DType storage, std::initializer_list<const void*> rows);

/// attention_forward of a shape that fits. y and log_sum_exp are overwritten, whatever they hold.
void attention_mma_forward(CudaQueue& queue, const AttentionShape& shape, const AttentionForward& args);

/// attention_backward of a shape that fits; delta (B, H, T) fp32 is the sum of dy * y over each row of each head.
/// Every element of dqkv is written once. Computes q k^T and dy v^T twice, for dq and for dk and dv: 14 B H D T(T+1)/2
/// flops, where the cost of the op counts 10.
void attention_mma_backward(CudaQueue& queue, const AttentionShape& shape, const AttentionBackward& args,
                            ConstView delta);

}  // namespace trireme::runtime::cuda
