#include "launch/device_choice.h"

#include <gtest/gtest.h>

#include "runtime/cuda_queue.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

/// In a build without CUDA there is no GPU: the rest is held by the program on an emulated one (cuda_train_test.cpp).
TEST(DeviceChoice, WithoutAGpuAutoIsTheCpuAndCudaSaysWhatIsMissing) {
  ASSERT_FALSE(runtime::cuda::why_no_device().empty());
  EXPECT_EQ(choose_device("auto", 1), runtime::Device::cpu);
  EXPECT_EQ(choose_device("cpu", 4), runtime::Device::cpu);
  try {
    choose_device("cuda", 1);
    FAIL();
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    EXPECT_EQ(error.what(), "--device cuda: " + runtime::cuda::why_no_device() + "; or use --device cpu");
  }
}

}  // namespace
}  // namespace trireme::launch
