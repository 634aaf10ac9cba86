// Streams of the emulated devices: queues of work that is executed only when something waits for it. Internal to the
// emulation: copies, launches, graphs and the cuBLASLt stand-in put their work here.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/emulation/emulation.h"
#include "tests/emulation/include/cuda_runtime.h"

namespace trireme::emulation {

/// Every entry into the emulation holds this: several threads of the host may use it, one at a time.
std::unique_lock<std::recursive_mutex> enter();

/// Makes `error` this thread's last error, unless it is cudaSuccess, and gives it back.
cudaError_t noted(cudaError_t error);

/// The device of this thread.
int current_device();
int device_count();

/// For the work executed from now on.
ThreadOrder thread_order();

struct Stream;
struct Capture;

/// Everything that was put on `stream` before number `end`.
struct Position {
  std::shared_ptr<Stream> stream;
  uint64_t end = 0;
};

struct Work {
  std::function<void()> run;
  std::vector<Position> after;
};

struct Stream {
  int device = 0;
  bool blocking = true;  // waits for the null stream, and that for it
  bool is_null = false;
  uint64_t executed = 0;
  uint64_t queued = 0;
  std::deque<Work> waiting;
  std::shared_ptr<Capture> capture;
};

/// The stream behind a handle; null where there is none. A null handle is the null stream of the current device.
std::shared_ptr<Stream> stream_of(cudaStream_t handle);

/// Puts work on the stream, or into the graph that is captured from it. `run` may run many times.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> run);
/// The same for a kernel, which is executed at once under the environment's CUDA_LAUNCH_BLOCKING=1, as CUDA does.
cudaError_t enqueue_kernel(cudaStream_t stream, std::function<void()> run);
/// The same with what else must have been executed before.
void append(Stream& stream, Work work);

/// Executes what the stream holds up to `end`, and what that waits for.
void execute(Stream& stream, uint64_t end);
void execute_all_of_device(int device);
void execute_everything();

/// The error of a call that may not happen while this thread's captures forbid it; it also spoils them.
cudaError_t refused_by_capture();
/// For a call that waits for `stream`.
cudaError_t refused_by_capture_of(Stream& stream);

/// All streams that are not destroyed, the null streams included.
std::vector<std::shared_ptr<Stream>> all_streams();

}  // namespace trireme::emulation

/// What an event last stood for.
struct CUevent_st {  // NOLINT: CUDA's name
  struct Record {
    trireme::emulation::Position position;
    bool executed = false;
    double seconds = 0;
    std::shared_ptr<trireme::emulation::Capture> capture;
    std::vector<size_t> nodes;  // in the capture
  };
  unsigned flags = 0;
  std::shared_ptr<Record> record;
};
