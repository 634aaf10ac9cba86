// rope on the GPU; see rope.h. rope_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/rope.h"

namespace trireme::runtime::cuda {

void fill_rope_table(CudaQueue& queue, double theta, View table);
void rope(CudaQueue& queue, const AttentionShape& shape, const Rope& args);

}  // namespace trireme::runtime::cuda
