// The embedding: a row of the token table and, where positions are learned, one of the position table. Over tp each
// rank has a part of the vocabulary's entries; the position table is whole everywhere.
#pragma once

#include "model/layers/context.h"

namespace trireme::model {

struct EmbeddingWeights {
  runtime::View tokens;     ///< (V, C), over tp a rank's part of V
  runtime::View positions;  ///< (positions, C), absent with rope
};

/// x (N_local, C) := the embeddings of this rank's tokens.
void embed(Context& context, const EmbeddingWeights& weights, const TokenViews& tokens, runtime::View x);

/// Gradients of the tables accumulate, from d (N_local, C).
void embed_backward(Context& context, const EmbeddingWeights& gradients, const TokenViews& tokens,
                    runtime::ConstView d);

}  // namespace trireme::model
