#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/device_array.h"
#include "tests/emulation/selftest_kernels.h"

namespace trireme {
namespace {

class EmulatedGraphs : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithFlags(&other_, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaMallocHost(&pinned_, 2 * sizeof(float)), cudaSuccess);
  }
  void TearDown() override {
    cudaGetLastError();
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(other_), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(event_), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(pinned_), cudaSuccess);
  }

  void begin() { ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess); }
  cudaGraph_t end() {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    return graph;
  }
  void add(float by, cudaStream_t stream, DeviceArray<float>& x) {
    ASSERT_EQ(selftest::add(x.data(), by, x.data(), 2, stream), cudaSuccess);
  }
  /// The call must have spoilt the capture, and the graph with it.
  void expect_spoilt() {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    EXPECT_EQ(cudaStreamIsCapturing(stream_, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  }

  DeviceArray<float> x_{std::vector<float>{1, 2}};
  DeviceArray<float> y_{std::vector<float>{1, 2}};
  cudaStream_t stream_ = nullptr;
  cudaStream_t other_ = nullptr;
  cudaEvent_t event_ = nullptr;
  float* pinned_ = nullptr;
};

TEST_F(EmulatedGraphs, AReplayReadsTheDataOfItsTime) {
  begin();
  ASSERT_EQ(cudaMemcpyAsync(x_.data(), pinned_, 8, cudaMemcpyHostToDevice, stream_), cudaSuccess);
  add(10, stream_, x_);
  ASSERT_EQ(cudaMemcpyAsync(pinned_, x_.data(), 8, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
  cudaGraph_t graph = end();
  size_t nodes = 0;
  ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
  EXPECT_EQ(nodes, 3u);
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(x_.values()[0], 1);  // captured, not executed
  for (const float value : {5.0f, 6.0f}) {
    pinned_[0] = value;
    ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
    EXPECT_EQ(pinned_[0], value);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    EXPECT_EQ(pinned_[0], value + 10);
  }
  ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(executable, stream_), cudaErrorInvalidValue);
}

TEST_F(EmulatedGraphs, AForkedStreamTakesPartAndMustComeBack) {
  begin();
  add(10, stream_, x_);
  ASSERT_EQ(cudaEventRecord(event_, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(other_, event_), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(y_.data(), x_.data(), 8, cudaMemcpyDeviceToDevice, other_), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event_, other_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(stream_, event_), cudaSuccess);
  add(100, stream_, y_);
  cudaGraph_t graph = end();
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  for (const auto order : kEveryOrder) {
    const OrderGuard guard(order);
    const float before = x_.values()[0];
    ASSERT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    EXPECT_EQ(y_.values()[0], before + 110);
  }
  ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);

  begin();
  ASSERT_EQ(cudaEventRecord(event_, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(other_, event_), cudaSuccess);
  add(1, other_, y_);
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureUnjoined);
}

TEST_F(EmulatedGraphs, WaitingWhileCapturingIsAnErrorThatSpoilsTheCapture) {
  begin();
  add(1, stream_, x_);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(selftest::add(x_.data(), 1, x_.data(), 2, stream_), cudaErrorStreamCaptureInvalidated);
  expect_spoilt();
  begin();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  expect_spoilt();
  begin();
  ASSERT_EQ(cudaEventRecord(event_, stream_), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(event_), cudaErrorCapturedEvent);
  expect_spoilt();
}

TEST_F(EmulatedGraphs, AllocatingOrCopyingOrdinaryMemoryWhileCapturingSpoilsIt) {
  begin();
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(memory, nullptr);
  expect_spoilt();
  begin();
  const std::vector<float> ordinary = {1, 2};
  EXPECT_EQ(cudaMemcpyAsync(x_.data(), ordinary.data(), 8, cudaMemcpyHostToDevice, stream_),
            cudaErrorStreamCaptureUnsupported);
  expect_spoilt();
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaSuccess);  // allowed in this mode
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(end()), cudaSuccess);
}

TEST_F(EmulatedGraphs, WaitingForWorkOutsideOfTheCaptureIsAnError) {
  ASSERT_EQ(cudaEventRecord(event_, other_), cudaSuccess);
  begin();
  EXPECT_EQ(cudaStreamWaitEvent(stream_, event_), cudaErrorStreamCaptureIsolation);
  expect_spoilt();
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorIllegalState);
}

}  // namespace
}  // namespace trireme
