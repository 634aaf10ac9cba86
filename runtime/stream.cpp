#include "runtime/stream.h"

namespace trireme::runtime {

std::string_view name(Device device) {
  return device == Device::cpu ? "cpu" : "dry";
}

}  // namespace trireme::runtime
