// Causal self-attention: y = o(attention(q, k, v)), q, k, v = x w_qkv^T + b (Vaswani et al. 2017, arXiv:1706.03762).
#pragma once

#include "model/layers/context.h"

namespace trireme::model {

struct AttentionWeights {
  runtime::View qkv;       ///< ((H + 2K) D, C): q, k and v projections, fused
  runtime::View qkv_bias;  ///< ((H + 2K) D)
  runtime::View out;       ///< (C, H D)
  runtime::View out_bias;  ///< (C)
};

struct AttentionSaved {
  runtime::View qkv;          ///< (N, (H + 2K) D)
  runtime::View heads;        ///< (N, H D)
  runtime::View log_sum_exp;  ///< (B, H, T)
};

/// The keys and values of the tokens so far, for generation; (B, positions, K, D) each.
struct KeyValueCache {
  runtime::View keys;
  runtime::View values;
};

/// y (N, C) is overwritten; x (N, C).
AttentionSaved attention_forward(Context& context, const AttentionWeights& weights, const TokenViews& tokens,
                                 runtime::ConstView x, runtime::View y, runtime::Arena& slot);

/// dx (N, C) from dy (N, C); weight gradients accumulate. x is the forward's input.
struct AttentionGradientViews {
  runtime::ConstView x;
  runtime::ConstView dy;
  runtime::View dx;
};
void attention_backward(Context& context, const AttentionWeights& weights, const AttentionWeights& gradients,
                        const TokenViews& tokens, const AttentionSaved& saved, const AttentionGradientViews& views);

/// The forward over tokens that follow cached ones; appends to the cache. y (N, C) is overwritten; x (N, C).
void attention_cached(Context& context, const AttentionWeights& weights, const CachedTokens& input,
                      runtime::ConstView x, const KeyValueCache& cache, runtime::View y);

}  // namespace trireme::model
