// positions on the GPU; see positions.h. positions_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/positions.h"

namespace trireme::runtime::cuda {

void fill_positions(CudaQueue& queue, int64_t first, int64_t T, View positions);

}  // namespace trireme::runtime::cuda
