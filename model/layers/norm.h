// Residual addition and normalisation: layer norm or RMS norm, as the model says.
#pragma once

#include "model/layers/context.h"

namespace trireme::model {

struct NormWeights {
  runtime::View weight;  ///< (C)
  runtime::View bias;    ///< (C), absent with RMS norm
};

/// What the forward leaves for the backward. `sum` is the residual stream after the addition.
struct NormSaved {
  runtime::View sum;   ///< (N_local, C)
  runtime::View y;     ///< (N_local, C)
  runtime::View mean;  ///< (N_local), absent with RMS norm
  runtime::View rstd;  ///< (N_local)
};

struct NormGradientViews {
  runtime::ConstView dy;         ///< (N_local, C)
  runtime::ConstView dresidual;  ///< (N_local, C) or absent
  runtime::View dx;              ///< (N_local, C)
};

/// sum = residual + branch (or residual itself when there is no branch yet); y = norm(sum). y lies in `outputs`, the
/// rest in `slot`.
NormSaved norm_forward(Context& context, const NormWeights& weights, const ResidualStream& x, runtime::Arena& slot,
                       runtime::Arena& outputs);

/// y again, from what was saved, to the same bits; in `outputs`.
runtime::View norm_again(Context& context, const NormWeights& weights, const NormSaved& saved, runtime::Arena& outputs);

/// dx = dresidual + norm'(dy): the gradient of the stream before the norm from that behind its branch (dresidual,
/// absent when nothing else reads the stream, or dx itself).
void norm_backward(Context& context, const NormWeights& weights, const NormWeights& gradients, const NormSaved& saved,
                   const NormGradientViews& views);

}  // namespace trireme::model
