// A decoder-only transformer (Radford et al. 2019, GPT-2; Touvron et al. 2023, arXiv:2302.13971, Llama) from its
// layers: forward over one microbatch, backward, and the step of generation. It reads like the papers; it knows neither
// devices nor ranks nor files.
#pragma once

#include <functional>
#include <vector>

#include "model/layers/attention.h"
#include "model/layers/feed_forward.h"
#include "model/layers/head.h"
#include "model/layers/norm.h"
#include "model/parameters.h"

namespace trireme::model {

struct EmbeddingWeights {
  runtime::View tokens;     ///< (V, C)
  runtime::View positions;  ///< (positions, C), absent with rope
};

struct BlockWeights {
  NormWeights norm1;
  AttentionWeights attention;
  NormWeights norm2;
  FeedForwardWeights feed_forward;
};

/// Views into the units; the same struct names parameters and gradients.
struct TransformerWeights {
  EmbeddingWeights embedding;
  std::vector<BlockWeights> blocks;
  HeadWeights head;
};

/// `range` chooses which: &Unit::parameters or &Unit::gradients.
TransformerWeights bind_weights(const ModelConfig& config, const std::vector<Unit>& units, runtime::View Unit::*range);

/// What a block keeps for its backward. Selective recomputation leaves out norm1.y, norm2.y and
/// feed_forward.activation, full recomputation everything but the input.
struct BlockSaved {
  runtime::View input;  ///< (N, C), with full recomputation only: the residual stream before the block
  NormSaved norm1;
  AttentionSaved attention;
  NormSaved norm2;
  FeedForwardSaved feed_forward;
};

/// What one microbatch keeps in its slot between forward and backward. `blocks` is reserved once and reused.
struct TransformerSaved {
  TokenViews tokens;
  std::vector<BlockSaved> blocks;
  NormSaved final_norm;
};

/// Embedding, blocks, final norm. Everything saved lies in `slot`.
void transformer_forward(Context& context, const TransformerWeights& weights, const TokenViews& tokens,
                         TransformerSaved& saved, runtime::Arena& slot);

/// Called with the number of a unit (head = blocks + 1, ..., embedding = 0) when its gradients of this microbatch are
/// complete.
using UnitDone = std::function<void(size_t unit)>;

/// Loss and gradients of a microbatch whose forward is done. Gradients accumulate; totals (2) fp64 += loss sum, target
/// count.
void transformer_backward(Context& context, const TransformerWeights& weights, const TransformerWeights& gradients,
                          const TransformerSaved& saved, runtime::View totals, const UnitDone& unit_done);

/// The final norm's output (N, C), in `slot`, of `tokens`, which follow `past` cached ones of each sequence; appends to
/// the caches (one a block).
runtime::View transformer_cached(Context& context, const TransformerWeights& weights, const CachedTokens& input,
                                 const std::vector<KeyValueCache>& caches, runtime::Arena& slot);

}  // namespace trireme::model
