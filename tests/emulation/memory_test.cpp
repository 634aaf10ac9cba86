#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/device_array.h"
#include "tests/emulation/sanitizer.h"
#include "tests/emulation/selftest_kernels.h"

namespace trireme {
namespace {

TEST(EmulatedMemoryDeathTest, TheHostCannotTouchDeviceMemory) {
  const DeviceArray<float> x(1000);
  // Volatile: the compiler must not drop the access.
  EXPECT_DEATH([[maybe_unused]] const float value = *static_cast<volatile float*>(x.data() + 500),
               "host code touched device memory at 0x");
  EXPECT_DEATH(*static_cast<volatile float*>(x.data()) = 1, "host code touched device memory at 0x");
  ASSERT_EQ(selftest::add(x.data(), 1, x.data(), 1000, nullptr), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_DEATH(*static_cast<volatile float*>(x.data()) = 1, "host code touched device memory at 0x");
}

TEST(EmulatedMemoryDeathTest, OneElementBeyondAnAllocationIsFoundByAddressSanitizer) {
  if (!emulation::sanitizer::kActive) GTEST_SKIP() << "a step of 256 bytes is needed without AddressSanitizer";
  const DeviceArray<float> x(61);
  const auto step_over = [&] {
    selftest::add(x.data(), 1, x.data(), 62, nullptr);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(step_over(), "AddressSanitizer: use-after-poison");
}

TEST(EmulatedMemory, NewMemoryHoldsPoison) {
  const DeviceArray<uint32_t> x(300);
  for (const uint32_t value : x.values()) EXPECT_EQ(value, 0xfdfdfdfdu);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(x.data()) % 256, 0u);
}

TEST(EmulatedMemory, ManagedMemoryIsForBoth) {
  float* both = nullptr;
  ASSERT_EQ(cudaMallocManaged(&both, 100 * sizeof(float)), cudaSuccess);
  for (int i = 0; i < 100; ++i) both[i] = static_cast<float>(i);
  ASSERT_EQ(selftest::add(both, 0.5f, both, 100, nullptr), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(both[99], 99.5f);
  EXPECT_EQ(cudaFree(both), cudaSuccess);
}

TEST(EmulatedMemory, ItEndsWhereTheTestSays) {
  const int64_t before = emulation::device_bytes_in_use();
  emulation::set_device_memory(before + 1000);
  void* x = nullptr;
  EXPECT_EQ(cudaMalloc(&x, 1001), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(x, nullptr);
  ASSERT_EQ(cudaMalloc(&x, 600), cudaSuccess);
  size_t free_bytes = 0, total_bytes = 0;
  ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  EXPECT_EQ(free_bytes, 400u);
  EXPECT_EQ(cudaFree(x), cudaSuccess);
  EXPECT_EQ(cudaFree(x), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(emulation::device_bytes_in_use(), before);
  emulation::set_device_memory(int64_t{4} << 30);
  cudaGetLastError();
}

TEST(EmulatedMemory, CopiesBeyondAnAllocationOrInTheWrongDirectionAreErrors) {
  const DeviceArray<float> x(10);
  std::vector<float> host(20);
  EXPECT_EQ(cudaMemcpy(x.data(), host.data(), 11 * sizeof(float), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(x.data(), host.data(), 40, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host.data(), host.data() + 10, 40, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(x.data() + 9, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host.data(), 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(x.data(), host.data(), 40, cudaMemcpyDefault), cudaSuccess);
  cudaGetLastError();
}

}  // namespace
}  // namespace trireme
