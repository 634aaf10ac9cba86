#include "runtime/cuda_queue.h"

namespace trireme::runtime {

void CudaDelete::operator()(CudaQueue*) const {}
void CudaDelete::operator()(CudaRecording*) const {}
void CudaDelete::operator()(CudaEvent*) const {}

namespace cuda {

std::string why_no_device() {
  return "this program was built without CUDA; build it with -DTRIREME_CUDA=ON (cmake --preset cuda)";
}

std::string device_name() {
  built_without_cuda();
}

CudaQueuePointer open_queue() {
  throw Error(ErrorKind::device, why_no_device());
}

void wait(CudaQueue&) {
  built_without_cuda();
}

void* allocate(int64_t) {
  built_without_cuda();
}

void release(void*) {}

int64_t free_bytes() {
  built_without_cuda();
}

void copy_to_device(CudaQueue&, std::span<const std::byte>, void*) {
  built_without_cuda();
}

void copy_to_host(CudaQueue&, const void*, std::span<std::byte>) {
  built_without_cuda();
}

void copy_on_device(CudaQueue&, const void*, void*, int64_t) {
  built_without_cuda();
}

void begin_recording(CudaQueue&) {
  built_without_cuda();
}

CudaRecordingPointer end_recording(CudaQueue&) {
  built_without_cuda();
}

void replay(CudaQueue&, const CudaRecording&) {
  built_without_cuda();
}

CudaEventPointer make_event() {
  built_without_cuda();
}

void mark(CudaQueue&, CudaEvent&) {
  built_without_cuda();
}

double seconds_between(const CudaEvent&, const CudaEvent&) {
  built_without_cuda();
}

}  // namespace cuda
}  // namespace trireme::runtime
