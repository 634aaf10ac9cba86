#include "tests/emulation/device_memory.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "tests/emulation/launch.h"
#include "tests/emulation/sanitizer.h"
#include "tests/emulation/streams.h"

namespace trireme::emulation {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 256;  // cudaMalloc's
constexpr int kPoison = 0xfd;
constexpr int64_t kDefaultBytes = int64_t{4} << 30;

/// One allocation with a page that nobody may touch on either side. The memory ends where the upper one begins, as far
/// as the alignment allows, so that the first wide step over its end is caught.
struct Allocation {
  unsigned char* mapping;
  size_t mapped;
  unsigned char* begin;
  size_t bytes;
  MemoryKind kind;
  int device;
};

struct Memory {
  std::map<uintptr_t, Allocation> allocations;  // by begin
  std::vector<int64_t> used = std::vector<int64_t>(64);
  int64_t total = kDefaultBytes;
  int open = 0;
};

Memory& memory() {
  static Memory& all = *new Memory;
  return all;
}

void protect(const Allocation& allocation, int protection) {
  mprotect(allocation.mapping + kPage, allocation.mapped - 2 * kPage, protection);
}

struct sigaction previous_segv;
struct sigaction previous_ill;

void say(const std::string& text) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

/// Not what a signal handler may do in general; here the program ends, and the fault is in code, not in a lock.
void explain_fault(int signal, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  char number[32];
  std::snprintf(number, sizeof number, "%p", info->si_addr);
  const std::string thread = running_thread_text();
  const auto above = memory().allocations.upper_bound(at + kPage);
  bool ours = false;
  for (auto near = above; near != memory().allocations.begin() && !ours;) {
    const Allocation& allocation = (--near)->second;
    ours = info->si_addr >= allocation.mapping && info->si_addr < allocation.mapping + allocation.mapped;
    if (at > near->first + allocation.mapped) break;
  }
  if (!thread.empty()) {
    std::string what = "touched memory that is not its own at ";
    if (is_kernel_stack(info->si_addr)) what = "overflowed the stack of its thread at ";
    if (signal == SIGILL) what = "made an access that is misaligned or outside of its array, instruction ";
    say("emulated GPU: " + thread + " " + what + number + "\n");
  } else if (ours) {
    say(std::string("emulated GPU: host code touched device memory at ") + number + "\n");
  }
  sigaction(signal, signal == SIGILL ? &previous_ill : &previous_segv, nullptr);  // and once more, without us
}

void explain_faults() {
  static bool done = false;
  if (done) return;
  done = true;
  stack_t alternate{};
  if (sigaltstack(nullptr, &alternate) == 0 && (alternate.ss_flags & SS_DISABLE) != 0) {
    static unsigned char& stack = *new unsigned char[256 << 10];  // a kernel's own stack may be what overflowed
    alternate = {.ss_sp = &stack, .ss_flags = 0, .ss_size = 256 << 10};
    sigaltstack(&alternate, nullptr);
  }
  struct sigaction action {};
  action.sa_sigaction = explain_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &previous_segv);
  sigaction(SIGILL, &action, &previous_ill);
}

cudaError_t allocate(void** pointer, size_t bytes, MemoryKind kind) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t refused = refused_by_capture(); refused != cudaSuccess) return refused;
  Memory& all = memory();
  int64_t& used = all.used[static_cast<size_t>(current_device())];
  const bool counts = kind != MemoryKind::pinned;
  if (counts && bytes > static_cast<uint64_t>(std::max<int64_t>(all.total - used, 0))) return cudaErrorMemoryAllocation;
  const size_t aligned = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const size_t mapped = (aligned + kPage - 1) / kPage * kPage + 2 * kPage;
  void* mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return cudaErrorMemoryAllocation;
  Allocation allocation{static_cast<unsigned char*>(mapping), mapped, nullptr, bytes, kind, current_device()};
  allocation.begin = allocation.mapping + mapped - kPage - aligned;
  protect(allocation, PROT_READ | PROT_WRITE);
  madvise(mapping, mapped,
          MADV_HUGEPAGE);  // a wish: changing the protection of 32 MiB page by page takes a millisecond
  std::memset(allocation.begin, kPoison, aligned);
  sanitizer::forbid(allocation.mapping, mapped);
  sanitizer::allow(allocation.begin, bytes);
  if (kind == MemoryKind::device && all.open == 0) protect(allocation, PROT_NONE);
  all.allocations.emplace(reinterpret_cast<uintptr_t>(allocation.begin), allocation);
  if (counts) used += static_cast<int64_t>(bytes);
  explain_faults();
  *pointer = allocation.begin;
  return cudaSuccess;
}

/// Waits for all work, as cudaFree does: some of it may use the memory.
cudaError_t release(void* pointer, bool pinned) {
  if (pointer == nullptr) return cudaSuccess;
  if (const cudaError_t refused = refused_by_capture(); refused != cudaSuccess) return refused;
  Memory& all = memory();
  const auto found = all.allocations.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == all.allocations.end() || (found->second.kind == MemoryKind::pinned) != pinned)
    return cudaErrorInvalidValue;
  execute_everything();
  const Allocation allocation = found->second;
  all.allocations.erase(found);
  if (!pinned) all.used[static_cast<size_t>(allocation.device)] -= static_cast<int64_t>(allocation.bytes);
  sanitizer::allow(allocation.mapping, allocation.mapped);
  munmap(allocation.mapping, allocation.mapped);
  return cudaSuccess;
}

}  // namespace

MemoryPlace place_of(const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  auto above = memory().allocations.upper_bound(at);
  if (above == memory().allocations.begin()) return {};
  const auto& [begin, allocation] = *--above;
  if (at >= begin + allocation.bytes) return {};
  return {allocation.kind, allocation.device, allocation.begin, begin + allocation.bytes - at};
}

OpenMemory::OpenMemory() {
  if (memory().open++ > 0) return;
  for (const auto& [begin, allocation] : memory().allocations)
    if (allocation.kind == MemoryKind::device) protect(allocation, PROT_READ | PROT_WRITE);
}

OpenMemory::~OpenMemory() {
  if (--memory().open > 0) return;
  for (const auto& [begin, allocation] : memory().allocations)
    if (allocation.kind == MemoryKind::device) protect(allocation, PROT_NONE);
}

void set_device_memory(int64_t bytes) {
  const auto lock = enter();
  memory().total = bytes;
}

int64_t device_bytes_in_use() {
  const auto lock = enter();
  int64_t bytes = 0;
  for (const int64_t used : memory().used) bytes += used;
  return bytes;
}

}  // namespace trireme::emulation

using namespace trireme::emulation;  // NOLINT: below is CUDA's interface

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const auto lock = enter();
  return noted(allocate(pointer, bytes, MemoryKind::device));
}

cudaError_t cudaFree(void* pointer) {
  const auto lock = enter();
  return noted(release(pointer, false));
}

cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned) {
  const auto lock = enter();
  return noted(allocate(pointer, bytes, MemoryKind::managed));
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  const auto lock = enter();
  return noted(allocate(pointer, bytes, MemoryKind::pinned));
}

cudaError_t cudaFreeHost(void* pointer) {
  const auto lock = enter();
  return noted(release(pointer, true));
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  const auto lock = enter();
  if (free_bytes == nullptr || total_bytes == nullptr) return noted(cudaErrorInvalidValue);
  const int64_t used = memory().used[static_cast<size_t>(current_device())];
  *total_bytes = static_cast<size_t>(memory().total);
  *free_bytes = static_cast<size_t>(std::max<int64_t>(memory().total - used, 0));
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const auto lock = enter();
  if (attributes == nullptr) return noted(cudaErrorInvalidValue);
  const MemoryPlace place = place_of(pointer);
  void* address = const_cast<void*>(pointer);
  const bool registered = place.kind != MemoryKind::pageable;
  *attributes = {cudaMemoryTypeUnregistered, registered ? place.device : -2, registered ? address : nullptr, address};
  if (place.kind == MemoryKind::pinned) attributes->type = cudaMemoryTypeHost;
  if (place.kind == MemoryKind::managed) attributes->type = cudaMemoryTypeManaged;
  if (place.kind == MemoryKind::device) {
    attributes->type = cudaMemoryTypeDevice;
    attributes->hostPointer = nullptr;
  }
  return cudaSuccess;
}
