// The GPU as the rest of runtime sees it: a queue of work in order, device memory, and the two ways across the border.
// An op's kernels go to the queue and run later; wait() and copies to the host make the host wait, and a copy to the
// device does when so many are under way that no pinned buffer is free. cuda_queue_none.cpp stands in where the build
// has no CUDA. This header names no type of CUDA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/error.h"

namespace trireme::runtime {

class CudaQueue;      // runtime/cuda/queue.cuh
class CudaRecording;  // work of a queue, to be repeated
class CudaEvent;      // a point in a queue's work

struct CudaDelete {
  void operator()(CudaQueue* queue) const;
  void operator()(CudaRecording* recording) const;
  void operator()(CudaEvent* event) const;
};
using CudaQueuePointer = std::unique_ptr<CudaQueue, CudaDelete>;
using CudaRecordingPointer = std::unique_ptr<CudaRecording, CudaDelete>;
using CudaEventPointer = std::unique_ptr<CudaEvent, CudaDelete>;

namespace cuda {

/// Why there is no GPU to compute on, in one line for the user of --device cuda; empty when there is one.
std::string why_no_device();

/// "NVIDIA H200": the first GPU that CUDA shows (CUDA_VISIBLE_DEVICES chooses), the only one that is used so far.
std::string device_name();

/// A queue on that GPU. Throws Error(device) saying what is missing.
CudaQueuePointer open_queue();

/// Until all that was queued is done. Throws Error(device) when any of it failed.
void wait(CudaQueue& queue);

/// Device memory, uninitialised. Throws Error(device) naming the bytes.
void* allocate(int64_t bytes);
void release(void* memory);
/// What the device could still give.
int64_t free_bytes();

/// Copies through pinned buffers of the queue. To the device: queued, the host's memory may be reused at once. To the
/// host: waits.
void copy_to_device(CudaQueue& queue, std::span<const std::byte> host, void* device);
void copy_to_host(CudaQueue& queue, const void* device, std::span<std::byte> host);

/// Queued; the two do not overlap.
void copy_on_device(CudaQueue& queue, const void* source, void* target, int64_t bytes);

/// Between these two, work is not run but recorded (a CUDA graph): kernels with their arguments. Copies across the
/// border and wait() are errors there.
void begin_recording(CudaQueue& queue);
CudaRecordingPointer end_recording(CudaQueue& queue);
void replay(CudaQueue& queue, const CudaRecording& recording);

/// Marks the point in the queue that is reached now; the event may be used again.
CudaEventPointer make_event();
void mark(CudaQueue& queue, CudaEvent& event);
/// Device time between two marks; both must have been reached.
double seconds_between(const CudaEvent& begin, const CudaEvent& end);

/// What the stubs of a build without CUDA do: no queue can have been opened there.
[[noreturn]] inline void built_without_cuda() {
  throw Error(ErrorKind::internal, "this build has no CUDA");
}

}  // namespace cuda
}  // namespace trireme::runtime
