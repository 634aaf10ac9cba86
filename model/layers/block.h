// One block of the transformer: x = x + attention(norm1(x)); x = x + feed_forward(norm2(x)). Forward, keeping what the
// recomputation says, and backward.
#pragma once

#include "model/layers/attention.h"
#include "model/layers/feed_forward.h"
#include "model/layers/norm.h"

namespace trireme::model {

struct BlockWeights {
  NormWeights norm1;
  AttentionWeights attention;
  NormWeights norm2;
  FeedForwardWeights feed_forward;
};

/// What a block keeps for its backward. Selective recomputation leaves out norm1.y, norm2.y and
/// feed_forward.activation, full recomputation everything but the input.
struct BlockSaved {
  runtime::View input;  ///< (N_local, C), with full recomputation only: the residual stream before the block
  NormSaved norm1;
  AttentionSaved attention;
  NormSaved norm2;
  FeedForwardSaved feed_forward;
};

/// x: the residual stream, from before the block to behind it; `branch` (N_local, C) holds what is not yet added to it.
/// What is kept lies in `slot`. `layer` is the number in the whole model.
BlockSaved block_forward(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                         ResidualStream& x, runtime::View branch, runtime::Arena& slot);

/// d (N_local, C): gradient of the residual stream, from behind the block to before it. Weight gradients accumulate, or
/// are left to context.deferral.
void block_backward(Context& context, const BlockWeights& weights, const BlockWeights& gradients, int64_t layer,
                    const TokenViews& tokens, const BlockSaved& kept, runtime::View d);

/// The forward over tokens that follow cached ones, on one rank: x (N, C) in place, `branch` (N, C) is overwritten.
void block_cached(Context& context, const BlockWeights& weights, const CachedTokens& input, const KeyValueCache& cache,
                  runtime::View x, runtime::View branch);

}  // namespace trireme::model
