// TRIREME_SIMD before a function compiles it for AVX-512, AVX2 and plain x86-64 and picks one at start. Helpers that
// such a function calls must be always_inline. Empty where the mechanism does not exist (clang) or crashes
// (ThreadSanitizer).
#pragma once

#if defined(__SANITIZE_THREAD__) || defined(__clang__) || !defined(__x86_64__)
#define TRIREME_SIMD
#else
#define TRIREME_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
