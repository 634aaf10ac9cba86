// dropout on the GPU; see dropout.h. dropout_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/dropout.h"

namespace trireme::runtime::cuda {

void dropout(CudaQueue& queue, const DropoutSite& site, const DropoutRows& rows, ConstView x, View y);

}  // namespace trireme::runtime::cuda
