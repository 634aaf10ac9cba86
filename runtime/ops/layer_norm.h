// Layer normalisation (Ba, Kiros, Hinton 2016, arXiv:1607.06450) fused with the residual addition before it.
// Activations, weight and bias are of one storage (fp32 or bf16, s bytes an element); mean, rstd, dweight, dbias fp32.
#pragma once

#include "runtime/arena.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// sum = residual + branch; y = (sum - mean) * rstd * weight + bias, rstd = 1 / sqrt(variance + epsilon), per row.
/// residual, branch, sum, y (N, C); weight, bias (C); mean, rstd (N) are saved for backward. What is normalised is the
/// stored sum: normalising it again gives the same bits.
/// Without a branch (absent, and sum absent too) the residual itself is normalised. sum may be residual.
/// 9 N C flops, s (4 N C + 2 C) + 8 N bytes; without a branch 8 N C flops, s (2 N C + 2 C) + 8 N bytes.
struct LayerNormForward {
  ConstView residual;
  ConstView branch;
  ConstView weight;
  ConstView bias;
  float epsilon = 1e-5f;
  View sum;
  View y;
  View mean;
  View rstd;
};
void layer_norm_forward(Stream& stream, const LayerNormForward& args);

/// dx = dresidual + d(norm)/d(sum)^T dy (dresidual may be absent: then without it, or dx itself); dweight, dbias (C)
/// accumulate. dx is the gradient of residual and of branch alike. sum is what was normalised. The same bits for any
/// thread count. 14 N C flops, s (4 N C + C) + 16 C + 8 N bytes; without dresidual one N C less of each.
struct LayerNormBackward {
  ConstView dy;
  ConstView sum;
  ConstView weight;
  ConstView mean;
  ConstView rstd;
  ConstView dresidual;
  View dx;
  View dweight;
  View dbias;
};
void layer_norm_backward(Stream& stream, const LayerNormBackward& args, Arena& scratch);

}  // namespace trireme::runtime
