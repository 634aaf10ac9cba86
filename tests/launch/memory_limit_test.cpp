#include "launch/memory_limit.h"

#include <gtest/gtest.h>

#include "runtime/arena.h"

namespace trireme::launch {
namespace {

TEST(MemoryLimit, IsWhatWasAskedForElseTheDevicesElseThisMachines) {
  runtime::Calibration calibration;
  calibration.processor = "NVIDIA H100 SXM 80 GB";
  calibration.device_memory_bytes = 80'000'000'000;
  EXPECT_EQ(memory_limit(40.5, calibration, 8).bytes, 40'500'000'000);
  EXPECT_EQ(memory_limit(40.5, calibration, 8).source, "--device-memory");
  EXPECT_EQ(memory_limit(std::nullopt, calibration, 8).bytes, 80'000'000'000);
  EXPECT_EQ(memory_limit(std::nullopt, calibration, 8).source, "NVIDIA H100 SXM 80 GB");

  calibration.device_memory_bytes = 0;
  const MemoryLimit here = memory_limit(std::nullopt, calibration, 4);
  EXPECT_EQ(here.source, "free memory of this machine, shared by 4 ranks");
  EXPECT_GT(here.bytes, 0);
  // Other processes come and go between two looks: nothing near half of the memory.
  const int64_t free_bytes = runtime::available_memory_bytes(runtime::Device::cpu).value();
  EXPECT_NEAR(static_cast<double>(here.bytes), static_cast<double>(free_bytes) / 4,
              static_cast<double>(free_bytes) / 8);
}

}  // namespace
}  // namespace trireme::launch
