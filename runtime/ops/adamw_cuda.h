// adamw on the GPU; see adamw.h. adamw_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/adamw.h"

namespace trireme::runtime::cuda {

void adamw_update(CudaQueue& queue, const AdamWConstants& constants, const AdamWViews& views);
void update_scale(CudaQueue& queue, double clip_grad_norm, ConstView totals, ConstView limits, View scale);

}  // namespace trireme::runtime::cuda
