// A linear projection as layers hold it: y = x w^T + b, the bias where there is one.
#pragma once

#include "model/layers/context.h"

namespace trireme::model {

struct LinearWeights {
  runtime::View weight;  ///< (C_out, C_in)
  runtime::View bias;    ///< (C_out), or absent
};

/// y (N, C_out) is overwritten; x (N, C_in).
void linear(Context& context, const LinearWeights& weights, runtime::ConstView x, runtime::View y);

/// dx (N, C_in) from dy (N, C_out); weight gradients accumulate. x is the forward's input.
struct GradientViews {
  runtime::ConstView x;
  runtime::ConstView dy;
  runtime::View dx;
};
void linear_backward(Context& context, const LinearWeights& weights, const LinearWeights& gradients,
                     const GradientViews& views);

}  // namespace trireme::model
