// Dropout whose bits are a pure function of (seed, sample, site, position, channel): Philox, key = seed, counter =
// (sample index 48 bits, site 16, position 32, channel/4 32). They depend neither on layout nor on threads.
#pragma once

#include <cstdint>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

struct DropoutSite {
  uint64_t seed = 0;
  uint16_t site = 0;      ///< layer * 8 + place
  float probability = 0;  ///< of a zero, in [0, 1)
};

/// y = x * keep / (1 - probability). x, y (B, T, C) of one storage (fp32 or bf16, s bytes), y may be x; samples (B)
/// i64: global sample index of each sequence; the position is the index along T. Backward is the same function over
/// dy. Word j of the Philox output decides channel 4 c + j: kept when unit_float(word) >= probability, whatever the
/// storage.
/// Probability 0 is a copy. n flops, 2 s n + 8 B bytes.
void dropout(Stream& stream, const DropoutSite& site, ConstView samples, ConstView x, View y);

}  // namespace trireme::runtime
