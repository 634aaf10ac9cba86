// The head: final norm, logits over the vocabulary, cross entropy. Logits are made, used and forgotten by chunks of
// tokens; the loss and its gradients come from one pass over each chunk. Over tp each rank has a part of the
// vocabulary's entries, and logits of those alone: nobody gathers logits.
#pragma once

#include "model/layers/linear.h"
#include "model/layers/norm.h"

namespace trireme::model {

struct HeadWeights {
  NormWeights norm;
  /// (V, C): lm_head.weight, or the token embedding when tied; rows of zeros may follow. Over tp a rank's part of them.
  runtime::View table;
};

/// Tokens whose logits are held at a time, of N: equal chunks, in multiples of 16.
int64_t head_chunk_tokens(int64_t N, int64_t V, runtime::Device device);

/// totals (2) fp64 += sum of -log p(target), count of targets, of all tokens on each rank of tp. y (N_local, C) is the
/// final norm's output.
void head_loss(Context& context, const HeadWeights& weights, const TokenViews& tokens, runtime::ConstView y,
               runtime::View totals);

/// The same, and dy (N_local, C) := d(sum of losses)/dy; gradients.table accumulates.
void head_loss_and_gradient(Context& context, const HeadWeights& weights, const HeadWeights& gradients,
                            const TokenViews& tokens, const NormSaved& saved, runtime::View dy, runtime::View totals);

/// logits (N, rows of the table) of y (N, C); -inf where the table has rows of zeros.
void head_logits(Context& context, const HeadWeights& weights, runtime::ConstView y, runtime::View logits);

}  // namespace trireme::model
