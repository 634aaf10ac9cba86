#include "tests/emulation/fibers.h"

#include <cstdint>
#include <cstdlib>
#include <new>

#include <sys/mman.h>
#include <unistd.h>

#include "tests/emulation/sanitizer.h"

// Saves the registers that the System V ABI for x86-64 lets a function keep over a call, and the stack pointer, in
// *save; goes on where `load` was saved.
extern "C" void trireme_switch_stack(void** save, void* load);
asm(R"(
.text
.globl trireme_switch_stack
.type trireme_switch_stack, @function
trireme_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size trireme_switch_stack, .-trireme_switch_stack
)");

namespace trireme::emulation {

namespace {

// Frames are larger under AddressSanitizer. Only pages that are touched take memory.
constexpr size_t kStackBytes = sanitizer::kActive ? 512 << 10 : 128 << 10;
constexpr size_t kGuardBytes = 16 << 10;

Fibers* entering = nullptr;  // what a fresh fiber belongs to

}  // namespace

struct Fibers::Fiber {
  unsigned char* mapping;
  void* stopped_at;
  void* fake_stack = nullptr;

  const unsigned char* stack() const { return mapping + kGuardBytes; }
};

Fibers::Fibers(std::function<void()> body) : body_(std::move(body)) {}

Fibers::~Fibers() {
  for (const auto& fiber : fibers_) munmap(fiber->mapping, kGuardBytes + kStackBytes);
}

void Fibers::reserve(size_t count) {
  while (fibers_.size() < count) {
    void* mapping = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, kGuardBytes, PROT_NONE) != 0) throw std::bad_alloc();
    auto fiber = std::make_unique<Fiber>();
    fiber->mapping = static_cast<unsigned char*>(mapping);
    // As trireme_switch_stack leaves a stack: six registers, where to return to, then what enter() would return to.
    auto* top = reinterpret_cast<void**>(fiber->mapping + kGuardBytes + kStackBytes) - 2;
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&Fibers::enter);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    fiber->stopped_at = top;
    fibers_.push_back(std::move(fiber));
  }
}

void Fibers::resume(size_t index) {
  Fiber& fiber = *fibers_[index];
  running_ = &fiber;
  entering = this;
  void* fake_stack = nullptr;
  sanitizer::leave_stack(&fake_stack, fiber.stack(), kStackBytes);
  trireme_switch_stack(&outside_, fiber.stopped_at);
  sanitizer::enter_stack(fake_stack, nullptr, nullptr);
  running_ = nullptr;
}

void Fibers::suspend() {
  Fiber& fiber = *running_;
  sanitizer::leave_stack(&fiber.fake_stack, outside_stack_, outside_stack_bytes_);
  trireme_switch_stack(&fiber.stopped_at, outside_);
  sanitizer::enter_stack(fiber.fake_stack, &outside_stack_, &outside_stack_bytes_);
}

void Fibers::enter() {
  Fibers& self = *entering;
  sanitizer::enter_stack(nullptr, &self.outside_stack_, &self.outside_stack_bytes_);
  self.run_body_for_ever();
}

void Fibers::run_body_for_ever() {
  for (;;) {
    body_();
    suspend();
  }
}

bool Fibers::owns(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (const auto& fiber : fibers_) {
    const auto begin = reinterpret_cast<uintptr_t>(fiber->mapping);
    if (at >= begin && at < begin + kGuardBytes + kStackBytes) return true;
  }
  return false;
}

}  // namespace trireme::emulation
