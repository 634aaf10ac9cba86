#include "runtime/cuda_device.h"

#include <cuda_runtime_api.h>

namespace trireme::runtime {

std::string cuda_description() {
  int version = 0;
  if (cudaRuntimeGetVersion(&version) != cudaSuccess) return "CUDA runtime of unknown version, no device";
  // NVIDIA's encoding: 1000 * major + 10 * minor.
  const std::string runtime =
      "CUDA runtime " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess) return runtime + ", no device (" + cudaGetErrorString(found) + ")";
  cudaDeviceProp properties;
  if (devices == 0 || cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return runtime + ", no device";
  return runtime + ", " + std::to_string(devices) + (devices == 1 ? " device, " : " devices, first ") + properties.name;
}

}  // namespace trireme::runtime
