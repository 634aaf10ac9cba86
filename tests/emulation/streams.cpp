#include "tests/emulation/streams.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>

#include "tests/emulation/device_memory.h"
#include "tests/emulation/graphs.h"

namespace trireme::emulation {

namespace {

struct Streams {
  std::map<cudaStream_t, std::shared_ptr<Stream>> created;
  std::vector<std::shared_ptr<Stream>> destroyed;  // while they hold work
  std::map<int, std::shared_ptr<Stream>> null;     // by device
  std::set<cudaEvent_t> events;
};

Streams& streams() {
  static Streams& all = *new Streams;
  return all;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_null_handle(cudaStream_t handle) {
  return handle == nullptr || handle == cudaStreamLegacy;
}

std::shared_ptr<Stream> null_stream(int device) {
  std::shared_ptr<Stream>& stream = streams().null[device];
  if (!stream) {
    stream = std::make_shared<Stream>();
    stream->device = device;
    stream->is_null = true;
  }
  return stream;
}

/// What the legacy default stream orders: it waits for the blocking streams of its device, and they for it.
std::vector<Position> implied_order(const Stream& stream) {
  std::vector<Position> after;
  for (const std::shared_ptr<Stream>& other : all_streams()) {
    const bool ordered = other->device == stream.device && stream.blocking && other->blocking &&
                         stream.is_null != other->is_null && other->executed < other->queued;
    if (ordered) after.push_back({other, other->queued});
  }
  return after;
}

cudaError_t create_stream(cudaStream_t* handle, unsigned flags) {
  const auto lock = enter();
  if (handle == nullptr || flags > cudaStreamNonBlocking) return noted(cudaErrorInvalidValue);
  auto stream = std::make_shared<Stream>();
  stream->device = current_device();
  stream->blocking = flags != cudaStreamNonBlocking;
  *handle = reinterpret_cast<cudaStream_t>(stream.get());
  streams().created.emplace(*handle, std::move(stream));
  return cudaSuccess;
}

bool known(cudaEvent_t event) {
  return streams().events.contains(event);
}

}  // namespace

std::unique_lock<std::recursive_mutex> enter() {
  static auto& mutex = *new std::recursive_mutex;
  return std::unique_lock(mutex);
}

std::shared_ptr<Stream> stream_of(cudaStream_t handle) {
  if (is_null_handle(handle)) return null_stream(current_device());
  const auto found = streams().created.find(handle);
  return found == streams().created.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Stream>> all_streams() {
  std::erase_if(streams().destroyed, [](const auto& stream) { return stream->executed == stream->queued; });
  std::vector<std::shared_ptr<Stream>> all = streams().destroyed;
  for (const auto& [device, stream] : streams().null) all.push_back(stream);
  for (const auto& [handle, stream] : streams().created) all.push_back(stream);
  return all;
}

void append(Stream& stream, Work work) {
  for (Position& position : implied_order(stream)) work.after.push_back(std::move(position));
  stream.waiting.push_back(std::move(work));
  ++stream.queued;
}

cudaError_t enqueue(cudaStream_t handle, std::function<void()> run) {
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream || stream->device != current_device()) return cudaErrorInvalidResourceHandle;
  if (stream->capture) return capture(*stream, std::move(run));
  if (stream->is_null) {
    for (const std::shared_ptr<Stream>& other : all_streams()) {
      if (!other->capture || !other->blocking) continue;
      other->capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
  }
  append(*stream, {std::move(run), {}});
  return cudaSuccess;
}

cudaError_t enqueue_kernel(cudaStream_t handle, std::function<void()> run) {
  static const char* const blocking = std::getenv("CUDA_LAUNCH_BLOCKING");
  static const bool waits = blocking != nullptr && std::string_view(blocking) == "1";
  const cudaError_t queued = enqueue(handle, std::move(run));
  if (!waits || queued != cudaSuccess) return queued;
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream->capture) execute(*stream, stream->queued);
  return cudaSuccess;
}

void execute(Stream& stream, uint64_t end) {
  const OpenMemory open;
  while (stream.executed < end) {
    const Work work = std::move(stream.waiting.front());
    stream.waiting.pop_front();
    for (const Position& position : work.after) execute(*position.stream, position.end);
    work.run();
    ++stream.executed;
  }
}

namespace {

void execute_where(const std::function<bool(const Stream&)>& wanted) {
  std::vector<std::shared_ptr<Stream>> all = all_streams();
  if (thread_order() != ThreadOrder::forward) std::reverse(all.begin(), all.end());
  for (const std::shared_ptr<Stream>& stream : all)
    if (wanted(*stream) && stream->executed < stream->queued) execute(*stream, stream->queued);
}

}  // namespace

void execute_all_of_device(int device) {
  execute_where([device](const Stream& stream) { return stream.device == device; });
}

void execute_everything() {
  execute_where([](const Stream&) { return true; });
}

}  // namespace trireme::emulation

using namespace trireme::emulation;  // NOLINT: below is CUDA's interface

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return create_stream(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return create_stream(stream, flags);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return create_stream(stream, flags);
}

/// What the stream holds is still owed.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream || stream->is_null) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    stream->capture->invalid = true;
    stream->capture->last.erase(stream.get());
    stream->capture.reset();
  }
  streams().destroyed.push_back(stream);
  streams().created.erase(handle);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream) return noted(cudaErrorInvalidResourceHandle);
  if (const cudaError_t refused = refused_by_capture_of(*stream); refused != cudaSuccess) return noted(refused);
  if (stream->is_null) append(*stream, {[] {}, {}});  // it also waits for the blocking streams
  execute(*stream, stream->queued);
  return cudaSuccess;
}

/// Whoever asks will ask until the answer is yes: so the work is done now.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return cudaStreamSynchronize(handle);
}

cudaError_t cudaDeviceSynchronize() {
  const auto lock = enter();
  if (const cudaError_t refused = refused_by_capture(); refused != cudaSuccess) return noted(refused);
  execute_all_of_device(current_device());
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream || !known(event)) return noted(cudaErrorInvalidResourceHandle);
  if (!event->record) return cudaSuccess;  // never recorded: nothing to wait for
  if (stream->capture || event->record->capture) return noted(capture_wait(*stream, *event->record));
  append(*stream, {[] {}, {event->record->position}});
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const auto lock = enter();
  if (event == nullptr || flags > (cudaEventBlockingSync | cudaEventDisableTiming)) return noted(cudaErrorInvalidValue);
  *event = new CUevent_st{flags, nullptr};
  streams().events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const auto lock = enter();
  if (streams().events.erase(event) == 0) return noted(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream || !known(event)) return noted(cudaErrorInvalidResourceHandle);
  auto record = std::make_shared<CUevent_st::Record>();
  event->record = record;
  if (stream->capture) {
    capture_record(*stream, *record);
    return cudaSuccess;
  }
  append(*stream, {[record] {
                     record->executed = true;
                     record->seconds = now();
                   },
                   {}});
  record->position = {stream, stream->queued};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const auto lock = enter();
  if (!known(event)) return noted(cudaErrorInvalidResourceHandle);
  if (!event->record) return cudaSuccess;
  if (event->record->capture) {
    event->record->capture->invalid = true;
    return noted(cudaErrorCapturedEvent);
  }
  const Position position = event->record->position;
  execute(*position.stream, position.end);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return cudaEventSynchronize(event);
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  const auto lock = enter();
  if (ms == nullptr) return noted(cudaErrorInvalidValue);
  for (const cudaEvent_t event : {start, end})
    if (!known(event) || (event->flags & cudaEventDisableTiming) != 0 || !event->record || event->record->capture)
      return noted(cudaErrorInvalidResourceHandle);
  if (!start->record->executed || !end->record->executed) return noted(cudaErrorNotReady);
  *ms = static_cast<float>(1e3 * (end->record->seconds - start->record->seconds));
  return cudaSuccess;
}
