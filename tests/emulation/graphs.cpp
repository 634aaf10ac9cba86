#include "tests/emulation/graphs.h"

#include <algorithm>
#include <random>
#include <set>

namespace trireme::emulation {

using Nodes = std::vector<GraphNode>;

}  // namespace trireme::emulation

struct CUgraph_st {  // NOLINT: CUDA's name
  std::shared_ptr<const trireme::emulation::Nodes> nodes;
};
struct CUgraphExec_st {  // NOLINT: CUDA's name
  std::shared_ptr<const trireme::emulation::Nodes> nodes;
};

namespace trireme::emulation {

namespace {

struct Graphs {
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
};

Graphs& graphs() {
  static Graphs& all = *new Graphs;
  return all;
}

/// Runs every node after those that it comes after; of several that could be next, the order of threads chooses.
void replay(const Nodes& nodes) {
  std::vector<size_t> missing(nodes.size());
  std::vector<std::vector<size_t>> followers(nodes.size());
  std::vector<size_t> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    missing[i] = nodes[i].after.size();
    for (const size_t earlier : nodes[i].after) followers[earlier].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  std::mt19937_64 random(nodes.size());
  while (!ready.empty()) {
    size_t chosen = 0;
    if (thread_order() == ThreadOrder::reverse) chosen = ready.size() - 1;
    if (thread_order() == ThreadOrder::shuffled) chosen = random() % ready.size();
    const size_t node = ready[chosen];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(chosen));
    nodes[node].run();
    for (const size_t follower : followers[node])
      if (--missing[follower] == 0) ready.push_back(follower);
  }
}

/// Every node of the streams that forked off comes before the end of the stream that the capture began with.
bool joined(const Capture& capture) {
  std::vector<bool> reached(capture.nodes.size());
  std::vector<size_t> open = capture.last.at(capture.origin);
  while (!open.empty()) {
    const size_t node = open.back();
    open.pop_back();
    if (reached[node]) continue;
    reached[node] = true;
    open.insert(open.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
  }
  return std::find(reached.begin(), reached.end(), false) == reached.end();
}

}  // namespace

cudaError_t capture(Stream& stream, std::function<void()> run) {
  Capture& to = *stream.capture;
  if (to.invalid) return cudaErrorStreamCaptureInvalidated;
  std::vector<size_t>& last = to.last[&stream];
  to.nodes.push_back({std::move(run), last});
  last = {to.nodes.size() - 1};
  return cudaSuccess;
}

void capture_record(Stream& stream, CUevent_st::Record& record) {
  record.capture = stream.capture;
  record.nodes = stream.capture->last[&stream];
}

cudaError_t capture_wait(Stream& stream, const CUevent_st::Record& record) {
  const auto refuse = [&](cudaError_t error) {
    if (stream.capture) stream.capture->invalid = true;
    if (record.capture) record.capture->invalid = true;
    return error;
  };
  if (!record.capture || record.capture->origin == nullptr) return refuse(cudaErrorStreamCaptureIsolation);
  if (stream.capture && stream.capture != record.capture) return refuse(cudaErrorStreamCaptureMerge);
  if (record.capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (stream.is_null) return refuse(cudaErrorStreamCaptureImplicit);
  stream.capture = record.capture;
  std::vector<size_t>& last = record.capture->last[&stream];
  for (const size_t node : record.nodes)
    if (std::find(last.begin(), last.end(), node) == last.end()) last.push_back(node);
  return cudaSuccess;
}

cudaError_t refused_by_capture() {
  bool refused = false;
  for (const std::shared_ptr<Stream>& stream : all_streams()) {
    if (!stream->capture || stream->capture->mode == cudaStreamCaptureModeRelaxed) continue;
    const bool mine = stream->capture->thread == std::this_thread::get_id();
    if (!mine && stream->capture->mode == cudaStreamCaptureModeThreadLocal) continue;
    stream->capture->invalid = refused = true;
  }
  return refused ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t refused_by_capture_of(Stream& stream) {
  if (stream.capture) {
    stream.capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (!stream.is_null) return cudaSuccess;
  for (const std::shared_ptr<Stream>& other : all_streams()) {
    if (!other->capture || !other->blocking || other->device != stream.device) continue;
    other->capture->invalid = true;
    return cudaErrorStreamCaptureImplicit;
  }
  return cudaSuccess;
}

}  // namespace trireme::emulation

using namespace trireme::emulation;  // NOLINT: below is CUDA's interface

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream) return noted(cudaErrorInvalidResourceHandle);
  if (stream->is_null) return noted(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return noted(cudaErrorIllegalState);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream.get();
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->capture->last[stream.get()] = {};
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream) return noted(cudaErrorInvalidResourceHandle);
  if (graph == nullptr) return noted(cudaErrorInvalidValue);
  *graph = nullptr;
  if (!stream->capture) return noted(cudaErrorIllegalState);
  const std::shared_ptr<Capture> ended = stream->capture;
  if (ended->origin != stream.get()) {
    ended->invalid = true;
    return noted(cudaErrorStreamCaptureUnmatched);
  }
  if (ended->mode != cudaStreamCaptureModeRelaxed && ended->thread != std::this_thread::get_id())
    return noted(cudaErrorStreamCaptureWrongThread);
  const bool whole = joined(*ended);
  for (const std::shared_ptr<Stream>& other : all_streams())
    if (other->capture == ended) other->capture.reset();
  ended->origin = nullptr;  // events may still name it
  if (ended->invalid) return noted(cudaErrorStreamCaptureInvalidated);
  if (!whole) return noted(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{std::make_shared<const Nodes>(std::move(ended->nodes))};
  graphs().graphs.insert(*graph);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const auto lock = enter();
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (!stream || status == nullptr) return noted(cudaErrorInvalidValue);
  *status = cudaStreamCaptureStatusNone;
  if (stream->capture)
    *status = stream->capture->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  const auto lock = enter();
  if (!graphs().graphs.contains(graph) || nodes != nullptr || count == nullptr) return noted(cudaErrorInvalidValue);
  *count = graph->nodes->size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const auto lock = enter();
  if (executable == nullptr || !graphs().graphs.contains(graph)) return noted(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{graph->nodes};
  graphs().executables.insert(*executable);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const auto lock = enter();
  if (!graphs().executables.contains(executable)) return noted(cudaErrorInvalidValue);
  return noted(enqueue(stream, [nodes = executable->nodes] { replay(*nodes); }));
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const auto lock = enter();
  if (graphs().graphs.erase(graph) == 0) return noted(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const auto lock = enter();
  if (graphs().executables.erase(executable) == 0) return noted(cudaErrorInvalidValue);
  delete executable;
  return cudaSuccess;
}
