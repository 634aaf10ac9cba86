// GELU in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415; transformers' "gelu_new"):
// gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
#pragma once

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// y = gelu(x), any equal shapes; y may be x.
void gelu_forward(Stream& stream, ConstView x, View y);

/// dx = dy * gelu'(x); dx may be dy.
void gelu_backward(Stream& stream, ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime
