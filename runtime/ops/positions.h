// Positions of tokens inside their sequences, as the embedding reads them.
#pragma once

#include <cstdint>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// positions[i] = first + i mod T, T >= 1; positions (B * T) i32. 0 flops, 4 B T bytes.
void fill_positions(Stream& stream, int64_t first, int64_t T, View positions);

}  // namespace trireme::runtime
