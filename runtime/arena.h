// Memory with a lifetime. An Arena hands out 256-byte aligned views from one block that is reserved and touched once; a
// dry arena hands out null views and counts. The three lifetimes of a step (persistent, slot, scratch) are three uses
// of it: see memory.h. An arena does not know what its views hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "runtime/device.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// What the system could give without swapping (MemAvailable of /proc/meminfo; nothing when it does not say), or what
/// the GPU could.
std::optional<int64_t> available_memory_bytes(Device device);

/// An anonymous mapping, on huge pages where the kernel grants them, touched at once so that no step pays for page
/// faults.
class HostMemory {
 public:
  HostMemory() = default;
  explicit HostMemory(int64_t bytes);
  HostMemory(HostMemory&& other) noexcept;
  HostMemory& operator=(HostMemory&& other) noexcept;
  ~HostMemory();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

/// cudaMalloc's memory of this rank's GPU, uninitialised.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(int64_t bytes);
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  ~DeviceMemory();

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

class Arena {
 public:
  static constexpr int64_t kAlignmentBytes = 256;  ///< what libraries ask of their workspace on a GPU; four cache lines

  /// Counts what a real arena would hand out; its views are null, its capacity unlimited.
  static Arena dry(std::string name);
  /// Owns `capacity_bytes` of host memory.
  static Arena host(std::string name, int64_t capacity_bytes);
  /// Owns `capacity_bytes` of the memory of `device`, which is not dry.
  static Arena on(Device device, std::string name, int64_t capacity_bytes);
  /// Hands out parts of `block` (u8), which must outlive it. A null block makes a dry arena of that capacity.
  static Arena over(std::string name, View block);

  /// Uninitialised. Throws Error(device) naming the arena when it is exhausted: the plan was wrong.
  View allocate(DType dtype, const Shape& shape);

  int64_t used_bytes() const { return used_bytes_; }
  int64_t peak_bytes() const { return peak_bytes_; }
  int64_t capacity_bytes() const { return capacity_bytes_; }
  /// Forgets everything handed out; the peak stays.
  void reset() { used_bytes_ = 0; }

 private:
  friend class ArenaFrame;
  using Memory = std::variant<std::monostate, HostMemory, DeviceMemory>;
  Arena(std::string name, Memory memory, void* base, int64_t capacity_bytes);

  std::string name_;
  Memory memory_;
  char* base_;
  int64_t capacity_bytes_;
  int64_t used_bytes_ = 0;
  int64_t peak_bytes_ = 0;
};

/// Scratch inside a scope: what was allocated since construction is given back at the end of the scope.
class ArenaFrame {
 public:
  explicit ArenaFrame(Arena& arena) : arena_(arena), used_bytes_(arena.used_bytes_) {}
  ~ArenaFrame() { arena_.used_bytes_ = used_bytes_; }
  ArenaFrame(const ArenaFrame&) = delete;
  ArenaFrame& operator=(const ArenaFrame&) = delete;

 private:
  Arena& arena_;
  int64_t used_bytes_;
};

}  // namespace trireme::runtime
