// One kernel launch as data, and how it is executed: every thread of every block, one block after the other.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "tests/emulation/vector_types.h"

namespace trireme::emulation {

struct Launch {
  dim3 grid;
  dim3 block;
  size_t dynamic_bytes = 0;
  const void* kernel = nullptr;
  std::function<void()> thread;  ///< runs one thread, from its first line to its end
};

/// Runs the launch to its end.
void run_launch(const Launch& launch);

/// "kernel NAME, block (0, 0, 0), thread (0, 0, 0)" while a kernel runs, else empty.
std::string running_thread_text();
/// True for an address in the stack of a kernel's thread.
bool is_kernel_stack(const void* address);

/// The name of the function at an address of this program, or its number where there is no symbol.
std::string function_name(const void* address);

}  // namespace trireme::emulation
