// gelu on the GPU; see gelu.h. gelu_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/gelu.h"

namespace trireme::runtime::cuda {

void gelu_forward(CudaQueue& queue, ConstView x, View y);
void gelu_backward(CudaQueue& queue, ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime::cuda
