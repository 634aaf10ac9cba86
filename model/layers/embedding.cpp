#include "model/layers/embedding.h"

#include "model/layers/linear.h"
#include "runtime/ops/embedding.h"

namespace trireme::model {

using runtime::ArenaFrame;
using runtime::ConstView;
using runtime::View;

void embed(Context& context, const EmbeddingWeights& weights, const TokenViews& tokens, View x) {
  ArenaFrame frame(context.scratch);
  const View partial = partial_sums(context, x);
  const bool adds_positions = context.tp.rank() == 0;
  runtime::embedding_forward(context.stream,
                             {.tokens = tokens.tokens,
                              .positions = tokens.positions,
                              .token_table = weights.tokens,
                              .position_table = adds_positions ? ConstView(weights.positions) : ConstView(),
                              .y = partial,
                              .vocabulary_begin = context.tp.rank() * weights.tokens.shape[0]});
  sum_tokens(context, partial, x);
}

void embed_backward(Context& context, const EmbeddingWeights& gradients, const TokenViews& tokens, ConstView d) {
  ArenaFrame frame(context.scratch);
  const ConstView all = gather_tokens(context, d, context.scratch);
  runtime::embedding_backward(context.stream,
                              {.tokens = tokens.tokens,
                               .positions = tokens.positions,
                               .dy = all,
                               .dtoken_table = gradients.tokens,
                               .dposition_table = gradients.positions,
                               .vocabulary_begin = context.tp.rank() * gradients.tokens.shape[0]},
                              context.scratch);
}

}  // namespace trireme::model
