// Causal self-attention: y = o(attention(q, k, v)), q, k, v = x w_qkv^T + b (Vaswani et al. 2017, arXiv:1706.03762),
// with grouped key/value heads (Ainslie et al. 2023, arXiv:2305.13245) and, where the model has rope, rotated q and k.
#pragma once

#include "model/layers/linear.h"

namespace trireme::model {

// Over tp each rank has H / tp query heads and K / tp key/value heads, and the projections' parts that belong to them.
// Below H and K are those of a rank.
struct AttentionWeights {
  LinearWeights qkv;  ///< ((H + 2K) D, C): q, k and v projections, fused
  LinearWeights out;  ///< (C, H D)
};

struct AttentionSaved {
  runtime::View qkv;          ///< (N, (H + 2K) D), q and k after their rotation
  runtime::View heads;        ///< (N, H D)
  runtime::View log_sum_exp;  ///< (B, H, T)
};

/// The keys and values of the tokens so far, for generation; (B, positions, K, D) each.
struct KeyValueCache {
  runtime::View keys;
  runtime::View values;
};

/// y (N_local, C) is overwritten; x (N_local, C).
AttentionSaved attention_forward(Context& context, const AttentionWeights& weights, const TokenViews& tokens,
                                 runtime::ConstView x, runtime::View y, runtime::Arena& slot);

/// dx (N_local, C) from dy (N_local, C); weight gradients accumulate. x is the forward's input.
void attention_backward(Context& context, const AttentionWeights& weights, const AttentionWeights& gradients,
                        const TokenViews& tokens, const AttentionSaved& saved, const GradientViews& views);

/// The forward over tokens that follow cached ones, on one rank; appends to the cache. y (N, C) is overwritten; x (N,
/// C).
void attention_cached(Context& context, const AttentionWeights& weights, const CachedTokens& input,
                      runtime::ConstView x, const KeyValueCache& cache, runtime::View y);

}  // namespace trireme::model
