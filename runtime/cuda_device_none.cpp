#include "runtime/cuda_device.h"

namespace trireme::runtime {

std::string cuda_description() {
  return "built without CUDA (TRIREME_CUDA=ON turns it on)";
}

}  // namespace trireme::runtime
