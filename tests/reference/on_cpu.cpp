#include <new>

#include "tests/reference/device.h"

namespace trireme::tests {

runtime::Device device() {
  return runtime::Device::cpu;
}

bool is_emulated() {
  return false;
}

void* allocate_shared(size_t bytes) {
  return ::operator new(bytes, std::align_val_t(64));
}

void free_shared(void* memory) {
  ::operator delete(memory, std::align_val_t(64));
}

}  // namespace trireme::tests
