// Pinned memory, which both sides may touch, and launches that wait (CUDA_LAUNCH_BLOCKING): so tests written for the
// CPU read their results where they stand.
#include <cuda_runtime.h>

#include <cstdlib>
#include <new>

#include "runtime/cuda_queue.h"
#include "tests/reference/device.h"
#include "tests/temporary_directory.h"

namespace trireme::tests {
namespace {

// Read when CUDA starts, which is after this.
[[maybe_unused]] const int kLaunchesWait = setenv("CUDA_LAUNCH_BLOCKING", "1", 1);

// What is found by timing here is not the user's; ctest has a place for it.
const TemporaryDirectory kCache;
[[maybe_unused]] const int kCacheIsOurs = setenv("TRIREME_CACHE_DIR", kCache.path().c_str(), 0);

}  // namespace

runtime::Device device() {
  return runtime::Device::cuda;
}

bool is_emulated() {
  static const bool emulated = runtime::cuda::device_name() == "emulated GPU";
  return emulated;
}

void* allocate_shared(size_t bytes) {
  void* memory = nullptr;
  if (bytes == 0) return memory;
  if (cudaHostAlloc(&memory, bytes, cudaHostAllocMapped) != cudaSuccess) throw std::bad_alloc();
  return memory;
}

void free_shared(void* memory) {
  if (memory != nullptr) cudaFreeHost(memory);
}

}  // namespace trireme::tests
