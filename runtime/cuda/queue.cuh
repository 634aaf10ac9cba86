// What a CudaQueue is: a stream, pinned buffers for what crosses the border, and the handles of libraries that belong
// to it.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/cuda_queue.h"

namespace trireme::runtime {

namespace cuda {
class LinearPlans;  // cuda/linear_plans.cuh: cuBLASLt and the algorithms chosen so far
}

class CudaQueue {
 public:
  explicit CudaQueue(int device);
  ~CudaQueue();
  CudaQueue(const CudaQueue&) = delete;
  CudaQueue& operator=(const CudaQueue&) = delete;

  cudaStream_t stream() const { return stream_; }
  int device() const { return device_; }
  bool is_recording() const { return is_recording_; }
  void set_recording(bool yes) { is_recording_ = yes; }

  /// A pinned buffer of kStagingBytes that no copy uses any more; waits for the oldest.
  std::byte* next_staging();
  /// To be called when the copy from or to the buffer of next_staging() is queued.
  void staging_queued();
  static constexpr int64_t kStagingBytes = int64_t{4} << 20;

  /// Made at the first product of the queue.
  std::shared_ptr<cuda::LinearPlans> linear_plans;

 private:
  static constexpr size_t kStagingBuffers = 4;
  struct Staging {
    std::byte* pinned = nullptr;
    cudaEvent_t done = nullptr;
  };
  int device_;
  cudaStream_t stream_ = nullptr;
  bool is_recording_ = false;
  std::array<Staging, kStagingBuffers> staging_;
  size_t next_ = 0;
};

}  // namespace trireme::runtime
