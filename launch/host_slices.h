// Checkpoints are loaded into host memory. Where a model lies on a GPU, its tensors have a twin on the host, through
// which they go.
#pragma once

#include <vector>

#include "checkpoint/tensor_slice.h"
#include "runtime/arena.h"
#include "runtime/stream.h"

namespace trireme::launch {

class HostSlices {
 public:
  /// `slices` lie in the memory of the stream's device. Takes as many bytes of the host's, once, unless that is the
  /// host.
  HostSlices(runtime::Stream& stream, std::vector<checkpoint::TensorSlice> slices);

  /// The same slices in host memory.
  const std::vector<checkpoint::TensorSlice>& slices() const { return on_host_; }

  /// What slices() hold, into the device.
  void push();

 private:
  bool have_twins() const { return stream_.device() != runtime::Device::cpu; }

  runtime::Stream& stream_;
  std::vector<checkpoint::TensorSlice> on_device_;
  std::vector<checkpoint::TensorSlice> on_host_;
  runtime::HostMemory memory_;
};

}  // namespace trireme::launch
