// What this build and this machine offer of CUDA, in words for `trireme --version`. cuda_device_cuda.cu asks the CUDA
// runtime; cuda_device_none.cpp stands in where the build has no CUDA, so that nobody else needs an #if. It knows no
// kernels, and it never fails: a machine without a GPU or a driver is an ordinary answer.
#pragma once

#include <string>

namespace trireme::runtime {

/// "CUDA runtime 13.0, cuBLASLt 13.1.0, no driver, no device (no CUDA-capable device is detected)", "CUDA runtime 13.0,
/// cuBLASLt 13.1.0, driver for CUDA 13.0, 8 devices, first NVIDIA H200", or "built without CUDA (TRIREME_CUDA=ON turns
/// it on)".
std::string cuda_description();

}  // namespace trireme::runtime
