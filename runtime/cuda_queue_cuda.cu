#include "runtime/cuda_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/cuda/error.cuh"
#include "runtime/cuda/queue.cuh"
#include "runtime/log.h"

namespace trireme::runtime {

class CudaRecording {
 public:
  cudaGraphExec_t executable = nullptr;
};

class CudaEvent {
 public:
  cudaEvent_t event = nullptr;
};

namespace {

/// Destructors log, never throw; and only the first failure, for all that follow a broken context say the same.
void log_failure(cudaError_t status, const char* call) {
  static bool has_failed = false;
  if (status != cudaSuccess && !std::exchange(has_failed, true))
    log_error(std::string("the GPU failed: ") + call + ": " + cudaGetErrorString(status));
}

}  // namespace

CudaQueue::CudaQueue(int device) : device_(device) {
  TRIREME_CUDA_CHECK(cudaSetDevice(device));
  TRIREME_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  for (Staging& staging : staging_) {
    void* pinned = nullptr;
    TRIREME_CUDA_CHECK(cudaMallocHost(&pinned, kStagingBytes));
    staging.pinned = static_cast<std::byte*>(pinned);
    TRIREME_CUDA_CHECK(cudaEventCreateWithFlags(&staging.done, cudaEventDisableTiming));
  }
}

CudaQueue::~CudaQueue() {
  log_failure(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  linear_plans.reset();
  for (Staging& staging : staging_) {
    log_failure(cudaEventDestroy(staging.done), "cudaEventDestroy");
    log_failure(cudaFreeHost(staging.pinned), "cudaFreeHost");
  }
  log_failure(cudaStreamDestroy(stream_), "cudaStreamDestroy");
}

std::byte* CudaQueue::next_staging() {
  TRIREME_CUDA_CHECK(cudaEventSynchronize(staging_[next_].done));  // at once where it was never recorded
  return staging_[next_].pinned;
}

void CudaQueue::staging_queued() {
  TRIREME_CUDA_CHECK(cudaEventRecord(staging_[next_].done, stream_));
  next_ = (next_ + 1) % kStagingBuffers;
}

void CudaDelete::operator()(CudaQueue* queue) const {
  delete queue;
}

void CudaDelete::operator()(CudaRecording* recording) const {
  log_failure(cudaGraphExecDestroy(recording->executable), "cudaGraphExecDestroy");
  delete recording;
}

void CudaDelete::operator()(CudaEvent* event) const {
  log_failure(cudaEventDestroy(event->event), "cudaEventDestroy");
  delete event;
}

namespace cuda {
namespace {

/// Any kernel of ours: does this build hold code for the GPU?
__global__ void probe() {}

void refuse_while_recording(const CudaQueue& queue, const char* what) {
  if (queue.is_recording()) throw Error(ErrorKind::internal, std::string(what) + " while work is recorded");
}

}  // namespace

std::string why_no_device() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) return std::string("no GPU can be used: ") + cudaGetErrorString(status);
  if (devices == 0) return "this machine has no GPU";
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, probe) == cudaSuccess) return "";
  cudaGetLastError();  // it has been dealt with: no later check may find it
  return "this program was not built for the " + device_name() + " (TRIREME_CUDA_ARCHITECTURES says for which GPUs)";
}

std::string device_name() {
  cudaDeviceProp properties;
  TRIREME_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  return properties.name;
}

CudaQueuePointer open_queue() {
  const std::string missing = why_no_device();
  if (!missing.empty()) throw Error(ErrorKind::device, missing);
  return CudaQueuePointer(new CudaQueue(0));
}

void wait(CudaQueue& queue) {
  refuse_while_recording(queue, "a wait for the GPU");
  TRIREME_CUDA_CHECK(cudaStreamSynchronize(queue.stream()));
}

void* allocate(int64_t bytes) {
  void* memory = nullptr;
  if (bytes == 0) return memory;
  const cudaError_t status = cudaMalloc(&memory, static_cast<size_t>(bytes));
  if (status != cudaSuccess) {
    throw Error(ErrorKind::device,
                "the GPU cannot give " + std::to_string(bytes) + " bytes: " + cudaGetErrorString(status));
  }
  return memory;
}

void release(void* memory) {
  if (memory != nullptr) log_failure(cudaFree(memory), "cudaFree");
}

int64_t free_bytes() {
  size_t free = 0;
  size_t total = 0;
  TRIREME_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return static_cast<int64_t>(free);
}

void copy_to_device(CudaQueue& queue, std::span<const std::byte> host, void* device) {
  refuse_while_recording(queue, "a copy to the GPU");
  auto* target = static_cast<std::byte*>(device);
  while (!host.empty()) {
    const size_t count = std::min(host.size(), static_cast<size_t>(CudaQueue::kStagingBytes));
    std::byte* staging = queue.next_staging();
    std::memcpy(staging, host.data(), count);
    TRIREME_CUDA_CHECK(cudaMemcpyAsync(target, staging, count, cudaMemcpyDefault, queue.stream()));
    queue.staging_queued();
    host = host.subspan(count);
    target += count;
  }
}

void copy_to_host(CudaQueue& queue, const void* device, std::span<std::byte> host) {
  refuse_while_recording(queue, "a copy from the GPU");
  const auto* source = static_cast<const std::byte*>(device);
  while (!host.empty()) {
    const size_t count = std::min(host.size(), static_cast<size_t>(CudaQueue::kStagingBytes));
    std::byte* staging = queue.next_staging();
    TRIREME_CUDA_CHECK(cudaMemcpyAsync(staging, source, count, cudaMemcpyDefault, queue.stream()));
    queue.staging_queued();
    wait(queue);
    std::memcpy(host.data(), staging, count);
    host = host.subspan(count);
    source += count;
  }
}

void copy_on_device(CudaQueue& queue, const void* source, void* target, int64_t bytes) {
  TRIREME_CUDA_CHECK(
      cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, queue.stream()));
}

void begin_recording(CudaQueue& queue) {
  refuse_while_recording(queue, "a recording");
  TRIREME_CUDA_CHECK(cudaStreamBeginCapture(queue.stream(), cudaStreamCaptureModeThreadLocal));
  queue.set_recording(true);
}

CudaRecordingPointer end_recording(CudaQueue& queue) {
  queue.set_recording(false);
  cudaGraph_t graph = nullptr;
  TRIREME_CUDA_CHECK(cudaStreamEndCapture(queue.stream(), &graph));
  CudaRecordingPointer recording(new CudaRecording());
  const cudaError_t status = cudaGraphInstantiate(&recording->executable, graph, 0);
  log_failure(cudaGraphDestroy(graph), "cudaGraphDestroy");
  check(status, "cudaGraphInstantiate");
  return recording;
}

void replay(CudaQueue& queue, const CudaRecording& recording) {
  refuse_while_recording(queue, "a replay");
  TRIREME_CUDA_CHECK(cudaGraphLaunch(recording.executable, queue.stream()));
}

CudaEventPointer make_event() {
  CudaEventPointer event(new CudaEvent());
  TRIREME_CUDA_CHECK(cudaEventCreate(&event->event));
  return event;
}

void mark(CudaQueue& queue, CudaEvent& event) {
  TRIREME_CUDA_CHECK(cudaEventRecord(event.event, queue.stream()));
}

double seconds_between(const CudaEvent& begin, const CudaEvent& end) {
  float milliseconds = 0;
  TRIREME_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin.event, end.event));
  return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace cuda
}  // namespace trireme::runtime
