// Copies and fills. As in CUDA, what touches pageable memory is not deferred: an asynchronous copy has read it when the
// call returns, and has written it.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/emulation/device_memory.h"
#include "tests/emulation/streams.h"

namespace trireme::emulation {

namespace {

bool on_device(const MemoryPlace& place) {
  return place.kind == MemoryKind::device || place.kind == MemoryKind::managed;
}
bool on_host(const MemoryPlace& place) {
  return place.kind != MemoryKind::device;
}
bool inside(const MemoryPlace& place, size_t bytes) {
  return place.kind == MemoryKind::pageable || bytes <= place.bytes_left;
}

bool fits(cudaMemcpyKind kind, const MemoryPlace& target, const MemoryPlace& source) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return on_host(target) && on_host(source);
    case cudaMemcpyHostToDevice:
      return on_device(target) && on_host(source);
    case cudaMemcpyDeviceToHost:
      return on_host(target) && on_device(source);
    case cudaMemcpyDeviceToDevice:
      return on_device(target) && on_device(source);
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

cudaError_t check(const void* target, const void* source, size_t bytes, cudaMemcpyKind kind) {
  if (target == nullptr || source == nullptr) return cudaErrorInvalidValue;
  const MemoryPlace to = place_of(target);
  const MemoryPlace from = place_of(source);
  if (!inside(to, bytes) || !inside(from, bytes)) return cudaErrorInvalidValue;
  return fits(kind, to, from) ? cudaSuccess : cudaErrorInvalidValue;
}

/// Executes what the stream holds, unless it is being captured.
cudaError_t finish(cudaStream_t handle) {
  const std::shared_ptr<Stream> stream = stream_of(handle);
  execute(*stream, stream->queued);
  return cudaSuccess;
}

cudaError_t copy(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t wrong = check(target, source, bytes, kind); wrong != cudaSuccess) return wrong;
  const bool from_pageable = place_of(source).kind == MemoryKind::pageable;
  const bool to_pageable = place_of(target).kind == MemoryKind::pageable;
  if (from_pageable || to_pageable) {
    if (const cudaError_t refused = refused_by_capture_of(*stream); refused != cudaSuccess) return refused;
  }
  std::function<void()> run = [=] { std::memmove(target, source, bytes); };
  if (from_pageable) {
    const auto* first = static_cast<const unsigned char*>(source);
    run = [target, read = std::make_shared<std::vector<unsigned char>>(first, first + bytes)] {
      std::memcpy(target, read->data(), read->size());
    };
  }
  const cudaError_t queued = enqueue(handle, std::move(run));
  return queued == cudaSuccess && to_pageable ? finish(handle) : queued;
}

cudaError_t fill(void* target, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const MemoryPlace place = place_of(target);
  if (!on_device(place) || !inside(place, bytes)) return cudaErrorInvalidValue;
  return enqueue(stream, [=] { std::memset(target, value, bytes); });
}

}  // namespace

}  // namespace trireme::emulation

using namespace trireme::emulation;  // NOLINT: below is CUDA's interface

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const auto lock = enter();
  return noted(copy(target, source, bytes, kind, stream));
}

/// Between two places on the device it does not wait.
cudaError_t cudaMemcpy(void* target, const void* source, size_t bytes, cudaMemcpyKind kind) {
  const auto lock = enter();
  if (const cudaError_t refused = refused_by_capture(); refused != cudaSuccess) return noted(refused);
  const cudaError_t queued = copy(target, source, bytes, kind, nullptr);
  const bool waits = place_of(target).kind != MemoryKind::device || place_of(source).kind != MemoryKind::device;
  return noted(queued == cudaSuccess && waits ? finish(nullptr) : queued);
}

cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  const auto lock = enter();
  return noted(fill(target, value, bytes, stream));
}

/// Does not wait for its end either.
cudaError_t cudaMemset(void* target, int value, size_t bytes) {
  const auto lock = enter();
  if (const cudaError_t refused = refused_by_capture(); refused != cudaSuccess) return noted(refused);
  return noted(fill(target, value, bytes, nullptr));
}
