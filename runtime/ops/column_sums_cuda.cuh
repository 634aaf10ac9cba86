// Column sums of a matrix on the GPU, added to fp32 sums: the gradient of a bias. In two steps and a fixed order, so
// that the same shape gives the same bits.
#pragma once

#include <cstdint>

#include "runtime/cuda/queue.cuh"
#include "runtime/view.h"

namespace trireme::runtime::cuda {

/// fp32 elements of scratch that add_column_sums of any number of rows of width C asks for, 2^23 at most while C is no
/// more than that.
int64_t column_sums_scratch(int64_t C);

/// sums (C) += column sums of dy (N, C), which is of a storage dtype.
void add_column_sums(CudaQueue& queue, ConstView dy, float* sums, float* scratch);

/// sums += terms, `count` fp32 elements.
void add_to_sums(CudaQueue& queue, const float* terms, float* sums, int64_t count);

/// Each row of y (N, C) = bias (C).
void copy_to_rows(CudaQueue& queue, ConstView bias, View y);

}  // namespace trireme::runtime::cuda
