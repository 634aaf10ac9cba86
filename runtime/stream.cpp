#include "runtime/stream.h"

#include "runtime/log.h"

namespace trireme::runtime {

std::string_view name(Device device) {
  switch (device) {
    case Device::cpu:
      return "cpu";
    case Device::cuda:
      return "cuda";
    case Device::dry:
      return "dry";
  }
  return "";
}

Stream::Stream(Device device) : Stream(device, device == Device::dry ? Device::cpu : device) {}

Stream::Stream(Device device, Device planned_device) : device_(device), planned_device_(planned_device) {
  if (device == Device::cuda) queue_ = cuda::open_queue();
}

Stream Stream::dry_for(Device device) {
  return {Device::dry, device};
}

void Stream::wait() {
  if (queue_) cuda::wait(*queue_);
}

void OpScope::end() noexcept {
  try {
    call_->stream.wait();
  } catch (const Error& error) {
    log_error(error.what());
  }
  const double end_seconds = monotonic_seconds();
  const auto& [stream, cost, begin_seconds] = *call_;
  if (stream.profile_ != nullptr) stream.profile_->add(cost, end_seconds - begin_seconds);
  if (stream.trace_ != nullptr) stream.trace_->add_op(cost, begin_seconds, end_seconds);
}

}  // namespace trireme::runtime
