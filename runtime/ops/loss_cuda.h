// loss on the GPU; see loss.h. loss_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/loss.h"

namespace trireme::runtime::cuda {

void mask_padding(CudaQueue& queue, int64_t V, View logits);
void loss_partials(CudaQueue& queue, ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials);
void loss_merge(CudaQueue& queue, ConstView gathered, View partials);
void loss_total(CudaQueue& queue, ConstView partials, ConstView targets, View totals);
void loss_gradient(CudaQueue& queue, ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits);

}  // namespace trireme::runtime::cuda
