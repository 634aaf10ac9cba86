#include "launch/host_slices.h"

#include "runtime/ops/elementwise.h"

namespace trireme::launch {

HostSlices::HostSlices(runtime::Stream& stream, std::vector<checkpoint::TensorSlice> slices)
    : stream_(stream), on_device_(std::move(slices)), on_host_(on_device_) {
  if (!have_twins()) return;
  int64_t bytes = 0;
  for (const checkpoint::TensorSlice& slice : on_device_) bytes += slice.data.bytes();
  memory_ = runtime::HostMemory(bytes);
  auto* next = static_cast<std::byte*>(memory_.data());
  for (checkpoint::TensorSlice& slice : on_host_) {
    slice.data.data = next;
    next += slice.data.bytes();
  }
}

void HostSlices::push() {
  if (!have_twins()) return;
  for (size_t i = 0; i < on_host_.size(); ++i) {
    const runtime::View& twin = on_host_[i].data;
    runtime::copy_from_host(stream_, {static_cast<const std::byte*>(twin.data), static_cast<size_t>(twin.bytes())},
                            on_device_[i].data);
  }
}

}  // namespace trireme::launch
