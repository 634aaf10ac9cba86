// Where the ops under test run. The executable says it by the file it is linked with, on_cpu.cpp or on_cuda.cpp: the
// same tests are held against both.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <vector>

#include "runtime/arena.h"
#include "runtime/device.h"

namespace trireme::tests {

runtime::Device device();
/// A GPU that is emulated: slow.
bool is_emulated();

/// Memory that the host and the device under test may both touch.
void* allocate_shared(size_t bytes);
void free_shared(void* memory);

template <typename T>
struct SharedAllocator {
  using value_type = T;
  SharedAllocator() = default;
  template <typename U>
  SharedAllocator(const SharedAllocator<U>&) {}  // NOLINT: containers convert allocators
  T* allocate(size_t count) { return static_cast<T*>(allocate_shared(count * sizeof(T))); }
  void deallocate(T* memory, size_t) { free_shared(memory); }
  bool operator==(const SharedAllocator&) const { return true; }
};

template <typename T>
bool operator==(const std::vector<T, SharedAllocator<T>>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b);
}

/// An arena in such memory, which stays until the program ends. Ranks that are threads may all make one.
inline runtime::Arena shared_arena(const char* name, int64_t bytes) {
  using Block = std::vector<std::byte, SharedAllocator<std::byte>>;
  static std::mutex mutex;
  static auto& kept = *new std::vector<Block>;  // outlives other statics
  const std::lock_guard lock(mutex);
  kept.emplace_back(static_cast<size_t>(bytes));
  return runtime::Arena::over(name, {{kept.back().data(), runtime::DType::u8, runtime::Shape{bytes}}});
}

}  // namespace trireme::tests
