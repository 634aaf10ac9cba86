// swiglu on the GPU; see swiglu.h. swiglu_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/swiglu.h"

namespace trireme::runtime::cuda {

void swiglu_forward(CudaQueue& queue, ConstView x, View y);
void swiglu_backward(CudaQueue& queue, ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime::cuda
