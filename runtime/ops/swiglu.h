// SwiGLU (Shazeer 2020, arXiv:2002.05202): y = silu(gate) * up, silu(x) = x / (1 + exp(-x)).
#pragma once

#include <cstdint>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// Arithmetic of one output as the formula is written, exp and division counted as one operation each.
inline constexpr int64_t kSwigluForwardFlops = 5;
inline constexpr int64_t kSwigluBackwardFlops = 12;

/// A row of x (N, 2F) is [gate | up]; y (N, F); one storage (fp32 or bf16). 5 flops an output, |x| + |y| bytes.
void swiglu_forward(Stream& stream, ConstView x, View y);

/// dx (N, 2F) = [d gate | d up], dx may be x; dy (N, F). 12 flops an output, 2 |x| + |dy| bytes.
void swiglu_backward(Stream& stream, ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime
