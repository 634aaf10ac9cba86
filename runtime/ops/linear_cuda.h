// linear on the GPU; see linear.h. linear_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda_queue.h"
#include "runtime/ops/linear.h"

namespace trireme::runtime::cuda {

/// What cuBLASLt may use besides its operands: 32 MiB is what its fastest algorithms on Hopper ask for.
inline constexpr int64_t kLinearWorkspaceBytes = int64_t{32} << 20;
/// Bytes of scratch of a call: the workspace, and behind it fp32 sums of columns where there is a bias gradient of C
/// elements (else C = 0).
inline int64_t linear_scratch_bytes(int64_t C) {
  return kLinearWorkspaceBytes + 4 * C;
}

void linear_forward(CudaQueue& queue, const LinearForward& args, View scratch);
void linear_backward_input(CudaQueue& queue, ConstView dy, ConstView weight, View dx, View scratch);
void linear_backward_weight(CudaQueue& queue, ConstView dy, ConstView x, View dweight, View dbias, View scratch);

}  // namespace trireme::runtime::cuda
