// The feed-forward layer: y = down(gelu(up(x))).
#pragma once

#include "model/layers/context.h"

namespace trireme::model {

struct FeedForwardWeights {
  runtime::View up;         ///< (F, C)
  runtime::View up_bias;    ///< (F)
  runtime::View down;       ///< (C, F)
  runtime::View down_bias;  ///< (C)
};

struct FeedForwardSaved {
  runtime::View pre_activation;  ///< (N, F)
  runtime::View activation;      ///< (N, F)
};

/// y (N, C) is overwritten; x (N, C).
FeedForwardSaved feed_forward_forward(Context& context, const FeedForwardWeights& weights, runtime::ConstView x,
                                      runtime::View y, runtime::Arena& slot);

/// dx (N, C) from dy (N, C); weight gradients accumulate. x is the forward's input.
struct FeedForwardGradientViews {
  runtime::ConstView x;
  runtime::ConstView dy;
  runtime::View dx;
};
void feed_forward_backward(Context& context, const FeedForwardWeights& weights, const FeedForwardWeights& gradients,
                           const FeedForwardSaved& saved, const FeedForwardGradientViews& views);

}  // namespace trireme::model
