#include "runtime/cuda_device.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

namespace trireme::runtime {
namespace {

/// NVIDIA's encodings: 1000 * major + 10 * minor of CUDA, 10000 * major + 100 * minor + patch of its libraries.
std::string cuda_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}
std::string library_version(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

/// 0: none that can be used.
std::string driver_text() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) return "no driver";
  return "driver for CUDA " + cuda_version(version);
}

}  // namespace

std::string cuda_description() {
  int version = 0;
  if (cudaRuntimeGetVersion(&version) != cudaSuccess) return "CUDA runtime of unknown version, no device";
  const std::string built = "CUDA runtime " + cuda_version(version) + ", cuBLASLt " +
                            library_version(cublasLtGetVersion()) + ", " + driver_text();
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess) return built + ", no device (" + cudaGetErrorString(found) + ")";
  cudaDeviceProp properties;
  if (devices == 0 || cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return built + ", no device";
  return built + ", " + std::to_string(devices) + (devices == 1 ? " device, " : " devices, first ") + properties.name;
}

}  // namespace trireme::runtime
