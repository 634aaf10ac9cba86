// The kinds of devices that a stream runs on. What each of them is for: DESIGN, section 1.
#pragma once

#include <string_view>

namespace trireme::runtime {

enum class Device {
  cpu,
  cuda,
  dry,  ///< checks shapes and states costs; touches no memory
};

std::string_view name(Device device);

}  // namespace trireme::runtime
