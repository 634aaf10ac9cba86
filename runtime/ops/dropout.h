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

/// Which of the B * T < 2^32 rows of a microbatch x and y are: those from first_row on. Row i is position i % T of
/// sequence i / T.
struct DropoutRows {
  ConstView samples;  ///< (B) i64: global sample index of each sequence of the microbatch
  int64_t T = 0;
  int64_t first_row = 0;
};

/// y = x * keep / (1 - probability). x, y (N_local, C) of one storage (fp32 or bf16, s bytes), y may be x. Backward is
/// the same function over dy. Word j of the Philox output decides channel 4 c + j: kept when unit_float(word) >=
/// probability, whatever the storage, and whatever part of the microbatch this is. Probability 0 is a copy. n flops, 2
/// s n + 8 B bytes.
void dropout(Stream& stream, const DropoutSite& site, const DropoutRows& rows, ConstView x, View y);

}  // namespace trireme::runtime
