// The feed-forward layer: y = down(activation(up(x))), the activation being gelu, or swiglu with a gate beside up.
#pragma once

#include "model/layers/linear.h"

namespace trireme::model {

// Over tp each rank has F / tp of the channels. Below F is that.
struct FeedForwardWeights {
  LinearWeights up;    ///< (F, C); with swiglu (2F, C): gate and up projections, fused
  LinearWeights down;  ///< (C, F)
};

struct FeedForwardSaved {
  runtime::View pre_activation;  ///< (N, F), with swiglu (N, 2F)
  runtime::View activation;      ///< (N, F)
};

/// The layer up to its activation; x (N_local, C). pre_activation lies in `slot`, activation in `outputs`.
FeedForwardSaved feed_forward_up(Context& context, const FeedForwardWeights& weights, runtime::ConstView x,
                                 runtime::Arena& slot, runtime::Arena& outputs);

/// The rest, which leaves nothing to save: y (N_local, C) is overwritten.
void feed_forward_down(Context& context, const FeedForwardWeights& weights, const FeedForwardSaved& saved,
                       runtime::View y);

/// The activation again, from what was saved, to the same bits; in `outputs`.
runtime::View activation_again(Context& context, const FeedForwardSaved& saved, runtime::Arena& outputs);

/// dx (N_local, C) from dy (N_local, C); weight gradients accumulate. x is the forward's input.
void feed_forward_backward(Context& context, const FeedForwardWeights& weights, const FeedForwardWeights& gradients,
                           const FeedForwardSaved& saved, const GradientViews& views);

}  // namespace trireme::model
