#include "model/layers/block.h"

#include "runtime/ops/elementwise.h"

namespace trireme::model {

using runtime::Arena;
using runtime::ArenaFrame;
using runtime::View;

namespace {

/// Where a block's forward puts its branches (one after the other), what it saves, and outputs that can be made again.
struct BlockMemory {
  View branch;  ///< (N_local, C)
  Arena& slot;
  Arena& outputs;
};

/// A block's forward as far as its backward reads: x = x + attention(norm1(x)), and feed_forward(norm2(x)) up to its
/// activation. What a norm or an activation function puts out lies in `outputs`, the rest of what is saved in `slot`.
BlockSaved forward_saved(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                         const ResidualStream& x, const BlockMemory& memory) {
  const auto& [branch, slot, outputs] = memory;
  BlockSaved saved;
  saved.norm1 = norm_forward(context, weights.norm1, x, slot, outputs);
  saved.attention = attention_forward(context, weights.attention, tokens, saved.norm1.y, branch, slot);
  apply_dropout(context, layer, DropoutPlace::attention, tokens, branch, branch);
  saved.norm2 = norm_forward(context, weights.norm2, {.residual = saved.norm1.sum, .branch = branch}, slot, outputs);
  saved.feed_forward = feed_forward_up(context, weights.feed_forward, saved.norm2.y, slot, outputs);
  return saved;
}

/// x = x + attention(norm1(x)); x = x + feed_forward(norm2(x)). The second addition is left to the next norm.
BlockSaved forward(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                   ResidualStream& x, const BlockMemory& memory) {
  const BlockSaved saved = forward_saved(context, weights, layer, tokens, x, memory);
  feed_forward_down(context, weights.feed_forward, saved.feed_forward, memory.branch);
  apply_dropout(context, layer, DropoutPlace::feed_forward, tokens, memory.branch, memory.branch);
  x = {.residual = saved.norm2.sum, .branch = memory.branch};
  return saved;
}

/// All that the backward of a block needs, what was not kept made again where deferred work can read it, or
/// in scratch of the caller's frame.
BlockSaved recomputed(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                      const BlockSaved& kept) {
  if (context.recompute == Recompute::none) return kept;
  const runtime::RecomputeScope again(context.stream);
  Arena& arena = operand_arena(context);
  if (context.recompute == Recompute::selective) {
    BlockSaved saved = kept;
    saved.norm1.y = norm_again(context, weights.norm1, kept.norm1, arena);
    saved.norm2.y = norm_again(context, weights.norm2, kept.norm2, arena);
    saved.feed_forward.activation = activation_again(context, kept.feed_forward, arena);
    return saved;
  }
  const View branch = context.scratch.allocate(kept.input.dtype, kept.input.shape);
  return forward_saved(context, weights, layer, tokens, {.residual = kept.input, .branch = View()},
                       {branch, arena, arena});
}

/// Deferred work reads a branch's gradient when d has changed (but over tp it reads what it gathered).
bool is_read_later(const Context& context) {
  return context.deferral != nullptr && context.tp.size() == 1;
}

/// The gradient that enters a branch: d, or a copy of it through the branch's dropout, or one that stays as it is.
View branch_gradient(Context& context, int64_t layer, DropoutPlace place, const TokenViews& tokens, View d, View copy) {
  if (is_read_later(context)) copy = operand_arena(context).allocate(d.dtype, d.shape);
  if (copy.absent()) return d;
  if (context.dropout == 0) runtime::cast(context.stream, d, copy);
  apply_dropout(context, layer, place, tokens, d, copy);
  return copy;
}

}  // namespace

BlockSaved block_forward(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                         ResidualStream& x, View branch, Arena& slot) {
  if (context.recompute == Recompute::none) {
    return forward(context, weights, layer, tokens, x, {branch, slot, slot});
  }
  ArenaFrame frame(context.scratch);
  if (context.recompute == Recompute::selective) {
    BlockSaved saved = forward(context, weights, layer, tokens, x, {branch, slot, context.scratch});
    saved.norm1.y = saved.norm2.y = saved.feed_forward.activation = View();
    return saved;
  }
  const View input = x.residual;  // there is no branch: the addition below has been done
  forward(context, weights, layer, tokens, x, {branch, context.scratch, context.scratch});
  const View output = slot.allocate(input.dtype, input.shape);
  runtime::add(context.stream, x.residual, x.branch, output);
  x = {.residual = output, .branch = View()};
  return {.input = input};
}

void block_backward(Context& context, const BlockWeights& weights, const BlockWeights& gradients, int64_t layer,
                    const TokenViews& tokens, const BlockSaved& kept, View d) {
  ArenaFrame frame(context.scratch);
  const BlockSaved saved = recomputed(context, weights, layer, tokens, kept);
  const View dnorm = context.scratch.allocate(d.dtype, d.shape);
  const bool copies = context.dropout > 0 && !is_read_later(context);
  const View copy = copies ? context.scratch.allocate(d.dtype, d.shape) : View();
  View dbranch = branch_gradient(context, layer, DropoutPlace::feed_forward, tokens, d, copy);
  feed_forward_backward(context, weights.feed_forward, gradients.feed_forward, saved.feed_forward,
                        {.x = saved.norm2.y, .dy = dbranch, .dx = dnorm});
  norm_backward(context, weights.norm2, gradients.norm2, saved.norm2, {.dy = dnorm, .dresidual = d, .dx = d});
  dbranch = branch_gradient(context, layer, DropoutPlace::attention, tokens, d, copy);
  attention_backward(context, weights.attention, gradients.attention, tokens, saved.attention,
                     {.x = saved.norm1.y, .dy = dbranch, .dx = dnorm});
  norm_backward(context, weights.norm1, gradients.norm1, saved.norm1, {.dy = dnorm, .dresidual = d, .dx = d});
}

void block_cached(Context& context, const BlockWeights& weights, const CachedTokens& input, const KeyValueCache& cache,
                  View x, View branch) {
  Arena& scratch = context.scratch;
  ArenaFrame frame(scratch);
  const NormSaved norm1 = norm_forward(context, weights.norm1, {.residual = x, .branch = View()}, scratch, scratch);
  attention_cached(context, weights.attention, input, norm1.y, cache, branch);
  runtime::add(context.stream, x, branch, x);
  const NormSaved norm2 = norm_forward(context, weights.norm2, {.residual = x, .branch = View()}, scratch, scratch);
  feed_forward_down(context, weights.feed_forward,
                    feed_forward_up(context, weights.feed_forward, norm2.y, scratch, scratch), branch);
  runtime::add(context.stream, x, branch, x);
}

}  // namespace trireme::model
