#include "runtime/host_name.h"

#include <unistd.h>

#include <array>

namespace trireme::runtime {

std::string host_name() {
  std::array<char, 256> buffer{};
  return gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "unnamed-host";
}

}  // namespace trireme::runtime
