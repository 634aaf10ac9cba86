#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/device_array.h"
#include "tests/emulation/selftest_kernels.h"

namespace trireme {
namespace {

class EmulatedStreams : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cudaStreamCreateWithFlags(&first_, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithFlags(&second_, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaMallocHost(&pinned_, 4 * sizeof(float)), cudaSuccess);
    for (int i = 0; i < 4; ++i) pinned_[i] = 0;
  }
  void TearDown() override {
    EXPECT_EQ(cudaStreamDestroy(first_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(second_), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(event_), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(pinned_), cudaSuccess);
  }

  void add(float by, cudaStream_t stream) {
    ASSERT_EQ(selftest::add(x_.data(), by, x_.data(), 4, stream), cudaSuccess);
  }
  void copy_to_pinned(cudaStream_t stream) {
    ASSERT_EQ(cudaMemcpyAsync(pinned_, x_.data(), 16, cudaMemcpyDeviceToHost, stream), cudaSuccess);
  }

  DeviceArray<float> x_{std::vector<float>{1, 2, 3, 4}};
  cudaStream_t first_ = nullptr;
  cudaStream_t second_ = nullptr;
  cudaEvent_t event_ = nullptr;
  float* pinned_ = nullptr;
};

TEST_F(EmulatedStreams, NothingRunsBeforeSomethingWaits) {
  const int64_t before = emulation::kernels_run();
  add(10, first_);
  copy_to_pinned(first_);
  EXPECT_EQ(emulation::kernels_run(), before);
  EXPECT_EQ(pinned_[0], 0);
  ASSERT_EQ(cudaStreamSynchronize(second_), cudaSuccess);
  EXPECT_EQ(pinned_[0], 0);
  ASSERT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(emulation::kernels_run(), before + 1);
  EXPECT_EQ(pinned_[0], 11);
  EXPECT_EQ(pinned_[3], 14);
}

TEST_F(EmulatedStreams, CopiesFromPinnedMemoryReadLateThoseFromOrdinaryMemoryAtOnce) {
  std::vector<float> ordinary = {5, 6, 7, 8};
  ASSERT_EQ(cudaMemcpyAsync(x_.data(), ordinary.data(), 16, cudaMemcpyHostToDevice, first_), cudaSuccess);
  ordinary[0] = 100;
  copy_to_pinned(first_);
  ASSERT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(pinned_[0], 5);
  ASSERT_EQ(cudaMemcpyAsync(x_.data(), pinned_, 16, cudaMemcpyHostToDevice, first_), cudaSuccess);
  pinned_[0] = 100;
  // To ordinary memory it waits for the stream.
  ASSERT_EQ(cudaMemcpyAsync(ordinary.data(), x_.data(), 16, cudaMemcpyDeviceToHost, first_), cudaSuccess);
  EXPECT_EQ(ordinary, (std::vector<float>{100, 6, 7, 8}));
}

TEST_F(EmulatedStreams, AStreamThatWaitsForAnEventComesAfterIt) {
  add(10, first_);
  ASSERT_EQ(cudaEventRecord(event_, first_), cudaSuccess);
  add(1000, first_);  // after the event: not waited for
  ASSERT_EQ(cudaStreamWaitEvent(second_, event_), cudaSuccess);
  copy_to_pinned(second_);
  ASSERT_EQ(cudaStreamSynchronize(second_), cudaSuccess);
  EXPECT_EQ(pinned_[0], 11);
}

TEST_F(EmulatedStreams, WithoutTheEventTheOtherStreamComesFirst) {
  add(10, first_);
  copy_to_pinned(second_);
  ASSERT_EQ(cudaStreamSynchronize(second_), cudaSuccess);
  EXPECT_EQ(pinned_[0], 1);
}

TEST_F(EmulatedStreams, AnEventWaitsForWhatCameBeforeIt) {
  add(10, first_);
  copy_to_pinned(first_);
  ASSERT_EQ(cudaEventRecord(event_, first_), cudaSuccess);
  add(1000, first_);
  ASSERT_EQ(cudaEventSynchronize(event_), cudaSuccess);
  EXPECT_EQ(pinned_[0], 11);
  EXPECT_EQ(cudaEventQuery(event_), cudaSuccess);
}

TEST_F(EmulatedStreams, TheNullStreamIsOrderedWithBlockingStreamsOnly) {
  cudaStream_t blocking = nullptr;
  ASSERT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
  add(10, blocking);
  add(1000, first_);
  copy_to_pinned(nullptr);
  ASSERT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
  EXPECT_EQ(pinned_[0], 11);
  add(100, nullptr);
  copy_to_pinned(blocking);
  ASSERT_EQ(cudaStreamSynchronize(blocking), cudaSuccess);
  EXPECT_EQ(pinned_[0], 111);
  EXPECT_EQ(cudaStreamDestroy(blocking), cudaSuccess);
}

TEST_F(EmulatedStreams, ADestroyedStreamStillOwesItsWork) {
  cudaStream_t gone = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&gone, cudaStreamNonBlocking), cudaSuccess);
  add(10, gone);
  copy_to_pinned(gone);
  ASSERT_EQ(cudaStreamDestroy(gone), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(pinned_[0], 11);
  EXPECT_EQ(cudaStreamSynchronize(gone), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
}

TEST_F(EmulatedStreams, ElapsedTimeIsThatOfTheWorkBetweenTwoEvents) {
  cudaEvent_t start = nullptr, end = nullptr;
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(start, first_), cudaSuccess);
  add(1, first_);
  ASSERT_EQ(cudaEventRecord(end, first_), cudaSuccess);
  float ms = -1;
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), cudaErrorNotReady);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  ASSERT_EQ(cudaEventElapsedTime(&ms, start, end), cudaSuccess);
  EXPECT_GT(ms, 0);
  ASSERT_EQ(cudaEventRecord(event_, first_), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, event_), cudaErrorInvalidResourceHandle);  // without timing
  cudaGetLastError();
  EXPECT_EQ(cudaEventDestroy(start), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
}

TEST_F(EmulatedStreams, FreeingWaitsForWhatMayUseTheMemory) {
  copy_to_pinned(first_);
  { const DeviceArray<float> other(1); }
  EXPECT_EQ(pinned_[0], 1);
}

}  // namespace
}  // namespace trireme
