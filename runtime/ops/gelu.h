// GELU in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415; transformers' "gelu_new"):
// gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
#pragma once

#include <cstdint>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// Arithmetic of one element as the formula is written, tanh and exp counted as one operation.
inline constexpr int64_t kGeluForwardFlops = 8;
inline constexpr int64_t kGeluBackwardFlops = 14;

/// y = gelu(x), any equal shapes of one storage (fp32 or bf16); y may be x. 8 flops an element, |x| + |y| bytes.
void gelu_forward(Stream& stream, ConstView x, View y);

/// dx = dy * gelu'(x); dx may be dy. 14 flops an element, |x| + |dy| + |dx| bytes.
void gelu_backward(Stream& stream, ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime
