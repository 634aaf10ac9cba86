// Captures of streams into graphs. Internal to the emulation: streams.cpp and copies.cpp hand work over while a stream
// is being captured.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "tests/emulation/streams.h"

namespace trireme::emulation {

struct GraphNode {
  std::function<void()> run;
  std::vector<size_t> after;  // earlier nodes
};

struct Capture {
  Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false;
  std::vector<GraphNode> nodes;
  std::map<Stream*, std::vector<size_t>> last;  // of each stream that takes part: what its next node comes after
};

/// Adds a node to the capture that `stream` takes part in.
cudaError_t capture(Stream& stream, std::function<void()> run);
/// cudaEventRecord and cudaStreamWaitEvent of streams or events that a capture is about.
void capture_record(Stream& stream, CUevent_st::Record& record);
cudaError_t capture_wait(Stream& stream, const CUevent_st::Record& record);

}  // namespace trireme::emulation
