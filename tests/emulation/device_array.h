// An array on the emulated device, filled from and read into vectors: what the tests of the emulation share.
#pragma once

#include <cuda_runtime.h>

#include <vector>

#include <gtest/gtest.h>

#include "tests/emulation/emulation.h"

namespace trireme {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) { EXPECT_EQ(cudaMalloc(&data_, count * sizeof(T)), cudaSuccess); }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~DeviceArray() { EXPECT_EQ(cudaFree(data_), cudaSuccess); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  /// After all work of the null stream.
  std::vector<T> values() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  size_t count_;
  T* data_ = nullptr;
};

/// Sets the order of threads, and forward again.
class OrderGuard {
 public:
  explicit OrderGuard(emulation::ThreadOrder order, uint64_t seed = 1) { emulation::set_thread_order(order, seed); }
  ~OrderGuard() { emulation::set_thread_order(emulation::ThreadOrder::forward); }
  OrderGuard(const OrderGuard&) = delete;
  OrderGuard& operator=(const OrderGuard&) = delete;
};

constexpr emulation::ThreadOrder kEveryOrder[] = {emulation::ThreadOrder::forward, emulation::ThreadOrder::reverse,
                                                  emulation::ThreadOrder::shuffled};

}  // namespace trireme
