// Memory of the emulated devices: what each address belongs to, and when it can be touched. Internal to the emulation.
#pragma once

#include <cstddef>

namespace trireme::emulation {

enum class MemoryKind { pageable, pinned, device, managed };

struct MemoryPlace {
  MemoryKind kind = MemoryKind::pageable;
  int device = 0;
  void* begin = nullptr;
  size_t bytes_left = 0;  ///< from the address to the end of its allocation; unknown for pageable memory
};

MemoryPlace place_of(const void* address);

/// While one lives device memory can be touched: queued work is being executed.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};

}  // namespace trireme::emulation
