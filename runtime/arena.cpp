#include "runtime/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "runtime/cuda_queue.h"
#include "runtime/error.h"

namespace trireme::runtime {

std::optional<int64_t> available_memory_bytes(Device device) {
  if (device == Device::cuda) return cuda::free_bytes();
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    int64_t kilobytes = 0;
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
  }
  return std::nullopt;
}

HostMemory::HostMemory(int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* address = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    throw Error(ErrorKind::device, "cannot reserve " + std::to_string(bytes) + " bytes: " + system_message(errno));
  }
  madvise(address, static_cast<size_t>(bytes), MADV_HUGEPAGE);  // a wish: without huge pages only speed differs
  std::memset(address, 0, static_cast<size_t>(bytes));
  data_ = address;
}

HostMemory::HostMemory(HostMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

HostMemory& HostMemory::operator=(HostMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

HostMemory::~HostMemory() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
}

DeviceMemory::DeviceMemory(int64_t bytes) : data_(cuda::allocate(bytes)) {}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  return *this;
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) cuda::release(data_);
}

Arena::Arena(std::string name, Memory memory, void* base, int64_t capacity_bytes)
    : name_(std::move(name)),
      memory_(std::move(memory)),
      base_(static_cast<char*>(base)),
      capacity_bytes_(capacity_bytes) {}

Arena Arena::dry(std::string name) {
  return {std::move(name), {}, nullptr, std::numeric_limits<int64_t>::max()};
}

Arena Arena::host(std::string name, int64_t capacity_bytes) {
  HostMemory memory(capacity_bytes);
  void* base = memory.data();
  return {std::move(name), std::move(memory), base, capacity_bytes};
}

Arena Arena::on(Device device, std::string name, int64_t capacity_bytes) {
  if (device == Device::cpu) return host(std::move(name), capacity_bytes);
  DeviceMemory memory(capacity_bytes);
  void* base = memory.data();
  return {std::move(name), std::move(memory), base, capacity_bytes};
}

Arena Arena::over(std::string name, View block) {
  return {std::move(name), {}, block.data, block.bytes()};
}

View Arena::allocate(DType dtype, const Shape& shape) {
  const int64_t bytes = shape.elements() * size_bytes(dtype);
  const int64_t rounded_bytes = (bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  if (rounded_bytes > capacity_bytes_ - used_bytes_) {
    throw Error(ErrorKind::device, "arena " + name_ + " of " + std::to_string(capacity_bytes_) +
                                       " bytes has no room for " + to_string(shape) + " " +
                                       std::string(runtime::name(dtype)) + " after " + std::to_string(used_bytes_) +
                                       " bytes");
  }
  View view{{base_ == nullptr ? nullptr : base_ + used_bytes_, dtype, shape}};
  used_bytes_ += rounded_bytes;
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  return view;
}

}  // namespace trireme::runtime
