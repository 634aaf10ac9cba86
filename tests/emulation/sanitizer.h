// What the emulation tells AddressSanitizer: changes of stack, and memory that nobody may touch. Empty functions in
// other builds.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace trireme::emulation::sanitizer {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kActive = true;
inline void leave_stack(void** fake_stack, const void* next_stack, size_t next_bytes) {
  __sanitizer_start_switch_fiber(fake_stack, next_stack, next_bytes);
}
inline void enter_stack(void* fake_stack, const void** last_stack, size_t* last_bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, last_stack, last_bytes);
}
inline void forbid(const void* begin, size_t bytes) {
  __asan_poison_memory_region(begin, bytes);
}
inline void allow(const void* begin, size_t bytes) {
  __asan_unpoison_memory_region(begin, bytes);
}
#else
constexpr bool kActive = false;
inline void leave_stack(void**, const void*, size_t) {}
inline void enter_stack(void*, const void**, size_t*) {}
inline void forbid(const void*, size_t) {}
inline void allow(const void*, size_t) {}
#endif

}  // namespace trireme::emulation::sanitizer
