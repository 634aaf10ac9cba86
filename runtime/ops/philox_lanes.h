// Philox4x32-10 (runtime/philox.h) for 16 counters at once, laid out so that the compiler vectorises it: word j of
// counter i is words[j][i]. Gives the same bits as philox().
#pragma once

#include <cstdint>

#include "runtime/philox.h"

namespace trireme::runtime::cpu {

constexpr int64_t kPhiloxLanes = 16;
using PhiloxLanes = uint32_t[4][kPhiloxLanes];

/// Replaces the counters in `words` by their random words. Inlined into kernels under TRIREME_SIMD.
[[gnu::always_inline]] inline void philox_lanes(PhiloxLanes& words, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int64_t i = 0; i < kPhiloxLanes; ++i) {
      const uint64_t product0 = uint64_t{0xD2511F53} * words[0][i];
      const uint64_t product1 = uint64_t{0xCD9E8D57} * words[2][i];
      words[0][i] = static_cast<uint32_t>(product1 >> 32) ^ words[1][i] ^ key[0];
      words[2][i] = static_cast<uint32_t>(product0 >> 32) ^ words[3][i] ^ key[1];
      words[1][i] = static_cast<uint32_t>(product1);
      words[3][i] = static_cast<uint32_t>(product0);
    }
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
}

}  // namespace trireme::runtime::cpu
