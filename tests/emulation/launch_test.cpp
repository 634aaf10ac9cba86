#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/emulation/device_array.h"
#include "tests/emulation/selftest_kernels.h"

namespace trireme {
namespace {

TEST(EmulatedLaunch, ImpossibleSizesAreErrors) {
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(1024), nullptr), cudaSuccess);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(32, 32), nullptr), cudaSuccess);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(1025), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(32, 33), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(1, 1, 65), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(selftest::launch_empty(dim3(0), dim3(32), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(0), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(selftest::launch_empty(dim3(1, 65536), dim3(32), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(selftest::launch_empty(dim3(1, 1, 65536), dim3(32), nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST(EmulatedLaunch, MuchDynamicSharedMemoryMustBeAskedFor) {
  EXPECT_EQ(selftest::use_dynamic_memory(47 << 10, 0, nullptr), cudaSuccess);
  EXPECT_EQ(selftest::use_dynamic_memory((47 << 10) + 1, 0, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(selftest::use_dynamic_memory(100 << 10, 100 << 10, nullptr), cudaSuccess);
  EXPECT_EQ(selftest::use_dynamic_memory(227 << 10, 227 << 10, nullptr), cudaSuccess);
  EXPECT_EQ(selftest::use_dynamic_memory(1, (227 << 10) + 1, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  cudaGetLastError();
}

TEST(EmulatedDevices, ThereAreAsManyAsTheEnvironmentSays) {
  int count = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  ASSERT_EQ(setenv("TRIREME_EMULATED_DEVICES", "2", 1), 0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(1), stream), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(selftest::launch_empty(dim3(1), dim3(1), stream), cudaErrorInvalidResourceHandle);  // of device 1
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  ASSERT_EQ(setenv("TRIREME_EMULATED_DEVICES", "0", 1), 0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  ASSERT_EQ(unsetenv("TRIREME_EMULATED_DEVICES"), 0);
  cudaGetLastError();
}

TEST(EmulatedDevices, TheyLookLikeAHopper) {
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_STREQ(properties.name, "emulated GPU");
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.multiProcessorCount, 132);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 232448u);
  int value = 0;
  ASSERT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
  EXPECT_EQ(value, 232448);
  int version = 0;
  ASSERT_EQ(cudaRuntimeGetVersion(&version), cudaSuccess);
  EXPECT_EQ(version, 13000);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorStreamCaptureUnsupported), "cudaErrorStreamCaptureUnsupported");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
}

}  // namespace
}  // namespace trireme
