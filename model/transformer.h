// A decoder-only transformer (Radford et al. 2019, GPT-2; Touvron et al. 2023, arXiv:2302.13971, Llama) from its
// layers: forward over one microbatch, backward, and the step of generation, for the chunk of layers that a rank holds;
// alone that is the whole model. It reads like the papers; it knows neither devices nor ranks nor files.
#pragma once

#include <vector>

#include "model/layers/block.h"
#include "model/layers/embedding.h"
#include "model/layers/head.h"
#include "model/layers/linear.h"
#include "model/parameters.h"
#include "model/stages.h"

namespace trireme::model {

/// Views into the units of a chunk; the same struct names parameters and gradients. Embedding and head are absent where
/// the chunk has none.
struct TransformerWeights {
  EmbeddingWeights embedding;
  std::vector<BlockWeights> blocks;
  HeadWeights head;
};

/// `range` chooses which: &parallel::UnitMemory::parameters or gradients.
TransformerWeights bind_weights(const ModelConfig& config, const std::vector<Unit>& units, const ChunkPlace& place,
                                const ChunkUnits& chunk, runtime::View parallel::UnitMemory::*range);

/// A chunk of layers on one rank.
struct TransformerChunk {
  ChunkPlace place;
  ChunkUnits units;
  runtime::DType storage = runtime::DType::fp32;  ///< of activations
  TransformerWeights weights;
  TransformerWeights gradients;  ///< empty for inference
};

/// What a block's backward has left for later.
struct BlockDeferred {
  std::vector<DeferredProduct> products;
  std::vector<DeferredSum> sums;
};

/// What one microbatch keeps in its slot between forward and backward. The vectors are reserved once and reused.
struct TransformerSaved {
  TokenViews tokens;
  std::vector<BlockSaved> blocks;
  NormSaved final_norm;
  std::vector<BlockDeferred> deferred;
};

/// The chunk's forward: embedding, or `input` (N_local, C) from the chunk before, blocks, final norm. Returns the
/// residual stream behind the last block, (N_local, C), absent from the last chunk. Everything saved lies in `slot`.
runtime::View transformer_forward(Context& context, const TransformerChunk& chunk, parallel::UnitShards& shards,
                                  const TokenViews& tokens, runtime::View input, TransformerSaved& saved,
                                  runtime::Arena& slot);

/// Its backward: d (N_local, C) is the gradient of its output and becomes that of its input; the last chunk makes it
/// from the loss, and adds to totals (2) fp64 loss sum and target count. Gradients accumulate; with `last` they are
/// complete for the step.
void transformer_backward(Context& context, const TransformerChunk& chunk, parallel::UnitShards& shards,
                          const TransformerSaved& saved, runtime::View d, runtime::View totals, bool last);

/// The same without the weight gradients of the blocks, which transformer_backward_weight adds; what that needs lies in
/// `slot`. `last`: of embedding and head.
void transformer_backward_input(Context& context, const TransformerChunk& chunk, parallel::UnitShards& shards,
                                TransformerSaved& saved, runtime::View d, runtime::View totals, bool last,
                                runtime::Arena& slot);
void transformer_backward_weight(Context& context, const TransformerChunk& chunk, parallel::UnitShards& shards,
                                 const TransformerSaved& saved, bool last);

/// The final norm's output (N, C), in `slot`, of `tokens`, which follow `past` cached ones of each sequence; appends to
/// the caches (one a block). On one rank, all layers in one chunk.
runtime::View transformer_cached(Context& context, const TransformerWeights& weights, const CachedTokens& input,
                                 const std::vector<KeyValueCache>& caches, runtime::Arena& slot);

}  // namespace trireme::model
