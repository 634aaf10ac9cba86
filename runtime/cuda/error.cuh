// The CHECK of CUDA calls: a failure becomes Error(device) that names the call.
#pragma once

#include <cuda_runtime.h>

#include <source_location>
#include <string>

#include "runtime/error.h"

namespace trireme::runtime::cuda {

inline void check(cudaError_t status, const char* call, std::source_location where = std::source_location::current()) {
  if (status == cudaSuccess) return;
  throw Error(ErrorKind::device, std::string("the GPU failed: ") + call + ": " + cudaGetErrorString(status), where);
}

}  // namespace trireme::runtime::cuda

#define TRIREME_CUDA_CHECK(call) ::trireme::runtime::cuda::check((call), #call)
