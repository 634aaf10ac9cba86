// Root mean square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467) fused with the residual addition before
// it: layer normalisation without mean and bias. Activations and weight are of one storage (fp32 or bf16, s bytes an
// element); rstd and dweight fp32.
#pragma once

#include "runtime/arena.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// sum = residual + branch; y = sum * rstd * weight, rstd = 1 / sqrt(mean of sum^2 + epsilon), per row.
/// residual, branch, sum, y (N, C); weight (C); rstd (N) is saved for backward. What is normalised is the stored sum:
/// normalising it again gives the same bits. Without a branch (absent, and sum absent too) the residual itself is
/// normalised. sum may be residual.
/// 5 N C flops, s (4 N C + C) + 4 N bytes; without a branch 4 N C flops, s (2 N C + C) + 4 N bytes.
struct RmsNormForward {
  ConstView residual;
  ConstView branch;
  ConstView weight;
  float epsilon = 1e-6f;
  View sum;
  View y;
  View rstd;
};
void rms_norm_forward(Stream& stream, const RmsNormForward& args);

/// dx = dresidual + d(norm)/d(sum)^T dy (dresidual may be absent: then without it, or dx itself); dweight (C)
/// accumulates. dx is the gradient of residual and of branch alike. sum is what was normalised. The same bits for any
/// thread count. 10 N C flops, s (4 N C + C) + 8 C + 4 N bytes; without dresidual one N C less of each.
struct RmsNormBackward {
  ConstView dy;
  ConstView sum;
  ConstView weight;
  ConstView rstd;
  ConstView dresidual;
  View dx;
  View dweight;
};
void rms_norm_backward(Stream& stream, const RmsNormBackward& args, Arena& scratch);

}  // namespace trireme::runtime
