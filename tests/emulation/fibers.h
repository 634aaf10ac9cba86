// Fibers: functions that can stop in the middle and go on later, all on one thread of the operating system. A fiber has
// its own stack, and going from one to another saves the registers that a call must keep. It knows nothing of CUDA.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace trireme::emulation {

/// A pool of fibers that all run the same function again and again: stacks are made once.
class Fibers {
 public:
  explicit Fibers(std::function<void()> body);
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  void reserve(size_t count);
  /// Runs fiber `index`, from the start of the body or from where it stopped, until it suspends or the body ends.
  void resume(size_t index);
  /// Called in a fiber: back to resume().
  void suspend();
  /// True for an address in a stack or in the page that guards it.
  bool owns(const void* address) const;

 private:
  struct Fiber;
  static void enter();
  void run_body_for_ever();

  std::function<void()> body_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* running_ = nullptr;
  void* outside_ = nullptr;              // where resume() stopped
  const void* outside_stack_ = nullptr;  // for AddressSanitizer
  size_t outside_stack_bytes_ = 0;
};

}  // namespace trireme::emulation
