#include "model/transformer.h"

#include <algorithm>

#include "runtime/ops/elementwise.h"
#include "runtime/ops/embedding.h"

namespace trireme::model {

using runtime::Arena;
using runtime::ArenaFrame;
using runtime::DType;
using runtime::View;

namespace {

/// Looks parameters of one unit up by the end of their names; absent views for those that the family has not.
class UnitViews {
 public:
  UnitViews(const Unit& unit, View Unit::*range) : unit_(unit), range_(unit.*range) {}

  View operator()(const std::string& suffix) const { return fused(suffix, 1); }

  /// `count` fused parameters from `suffix` on, as one matrix or vector, with the padding rows of the first.
  View fused(const std::string& suffix, size_t count) const {
    const std::vector<parallel::PlacedParameter>& parameters = unit_.layout.parameters;
    const auto first = std::ranges::find_if(
        parameters, [&](const parallel::PlacedParameter& parameter) { return parameter.spec.name.ends_with(suffix); });
    if (first == parameters.end()) return View();
    const std::vector<int64_t>& size = first->spec.box.size;
    int64_t rows = size.size() == 1 ? 0 : first->spec.padding / size[1];
    for (size_t i = 0; i < count; ++i) rows += first[static_cast<std::ptrdiff_t>(i)].spec.box.size[0];
    return range_.range(first->offset, size.size() == 1 ? runtime::Shape{rows} : runtime::Shape{rows, size[1]});
  }

 private:
  const Unit& unit_;
  View range_;
};

LinearWeights bind_linear(const UnitViews& of, const std::string& first, size_t count = 1) {
  return {of.fused(first + ".weight", count), of.fused(first + ".bias", count)};
}

NormWeights bind_norm(const UnitViews& of, const std::string& name) {
  return {of(name + ".weight"), of(name + ".bias")};
}

BlockWeights bind_block(const UnitViews& of, const ModelConfig& config) {
  const bool gated = config.activation == ActivationKind::swiglu;
  return {.norm1 = bind_norm(of, "input_layernorm"),
          .attention = {.qkv = bind_linear(of, "q_proj", 3), .out = bind_linear(of, "o_proj")},
          .norm2 = bind_norm(of, "post_attention_layernorm"),
          .feed_forward = {.up = gated ? bind_linear(of, "gate_proj", 2) : bind_linear(of, "up_proj"),
                           .down = bind_linear(of, "down_proj")}};
}

/// Where a block's forward puts its branches (one after the other), what it saves, and outputs that can be made again.
struct BlockMemory {
  View branch;  ///< (N, C)
  Arena& slot;
  Arena& outputs;
};

void embed(Context& context, const EmbeddingWeights& weights, const TokenViews& tokens, View x) {
  embedding_forward(context.stream, {.tokens = tokens.tokens,
                                     .positions = tokens.positions,
                                     .token_table = weights.tokens,
                                     .position_table = weights.positions,
                                     .y = x});
  apply_dropout(context, 0, DropoutPlace::embedding, tokens, x, x);
}

/// A block's forward as far as its backward reads: x = x + attention(norm1(x)), and feed_forward(norm2(x)) up to its
/// activation. What a norm or an activation function puts out lies in `outputs`, the rest of what is saved in `slot`.
BlockSaved block_forward_saved(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
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
BlockSaved block_forward(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                         ResidualStream& x, const BlockMemory& memory) {
  const BlockSaved saved = block_forward_saved(context, weights, layer, tokens, x, memory);
  feed_forward_down(context, weights.feed_forward, saved.feed_forward, memory.branch);
  apply_dropout(context, layer, DropoutPlace::feed_forward, tokens, memory.branch, memory.branch);
  x = {.residual = saved.norm2.sum, .branch = memory.branch};
  return saved;
}

/// block_forward, keeping in the slot what context.recompute says.
BlockSaved block_forward_keeping(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                                 ResidualStream& x, View branch, Arena& slot) {
  if (context.recompute == Recompute::none) {
    return block_forward(context, weights, layer, tokens, x, {branch, slot, slot});
  }
  ArenaFrame frame(context.scratch);
  if (context.recompute == Recompute::selective) {
    BlockSaved saved = block_forward(context, weights, layer, tokens, x, {branch, slot, context.scratch});
    saved.norm1.y = saved.norm2.y = saved.feed_forward.activation = View();
    return saved;
  }
  const View input = x.residual;  // there is no branch: the addition below has been done
  block_forward(context, weights, layer, tokens, x, {branch, context.scratch, context.scratch});
  const View output = slot.allocate(input.dtype, input.shape);
  runtime::add(context.stream, x.residual, x.branch, output);
  x = {.residual = output, .branch = View()};
  return {.input = input};
}

/// All that the backward of a block needs, what was not kept made again in scratch of the caller's frame.
BlockSaved recomputed(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                      const BlockSaved& kept) {
  if (context.recompute == Recompute::none) return kept;
  const runtime::RecomputeScope again(context.stream);
  Arena& scratch = context.scratch;
  if (context.recompute == Recompute::selective) {
    BlockSaved saved = kept;
    saved.norm1.y = norm_again(context, weights.norm1, kept.norm1, scratch);
    saved.norm2.y = norm_again(context, weights.norm2, kept.norm2, scratch);
    saved.feed_forward.activation = activation_again(context, kept.feed_forward, scratch);
    return saved;
  }
  const View branch = scratch.allocate(kept.input.dtype, kept.input.shape);
  return block_forward_saved(context, weights, layer, tokens, {.residual = kept.input, .branch = View()},
                             {branch, scratch, scratch});
}

/// The gradient that enters a branch: d, or a copy of it through the branch's dropout.
View branch_gradient(Context& context, int64_t layer, DropoutPlace place, const TokenViews& tokens, View d, View copy) {
  if (context.dropout == 0) return d;
  apply_dropout(context, layer, place, tokens, d, copy);
  return copy;
}

/// d (N, C): gradient of the residual stream, from behind the block to before it.
void block_backward(Context& context, const BlockWeights& weights, const BlockWeights& gradients, int64_t layer,
                    const TokenViews& tokens, const BlockSaved& kept, View d) {
  ArenaFrame frame(context.scratch);
  const BlockSaved saved = recomputed(context, weights, layer, tokens, kept);
  const View dnorm = context.scratch.allocate(d.dtype, d.shape);
  const View copy = context.dropout == 0 ? View() : context.scratch.allocate(d.dtype, d.shape);
  View dbranch = branch_gradient(context, layer, DropoutPlace::feed_forward, tokens, d, copy);
  feed_forward_backward(context, weights.feed_forward, gradients.feed_forward, saved.feed_forward,
                        {.x = saved.norm2.y, .dy = dbranch, .dx = dnorm});
  norm_backward(context, weights.norm2, gradients.norm2, saved.norm2, {.dy = dnorm, .dresidual = d, .dx = d});
  dbranch = branch_gradient(context, layer, DropoutPlace::attention, tokens, d, copy);
  attention_backward(context, weights.attention, gradients.attention, tokens, saved.attention,
                     {.x = saved.norm1.y, .dy = dbranch, .dx = dnorm});
  norm_backward(context, weights.norm1, gradients.norm1, saved.norm1, {.dy = dnorm, .dresidual = d, .dx = d});
}

}  // namespace

TransformerWeights bind_weights(const ModelConfig& config, const std::vector<Unit>& units, View Unit::*range) {
  TransformerWeights weights;
  const UnitViews embedding(units.front(), range);
  const UnitViews head(units.back(), range);
  weights.embedding = {embedding("embed_tokens.weight"), embedding("embed_positions.weight")};
  for (size_t i = 1; i + 1 < units.size(); ++i)
    weights.blocks.push_back(bind_block(UnitViews(units[i], range), config));
  weights.head.norm = bind_norm(head, "norm");
  weights.head.table = config.tied_embeddings ? weights.embedding.tokens : head("lm_head.weight");
  return weights;
}

void transformer_forward(Context& context, const TransformerWeights& weights, const TokenViews& tokens,
                         TransformerSaved& saved, Arena& slot) {
  ArenaFrame frame(context.scratch);
  const DType storage = weights.embedding.tokens.dtype;
  const runtime::Shape shape{tokens.B * tokens.T, context.config.width};
  const View branch = context.scratch.allocate(storage, shape);
  saved.tokens = tokens;
  saved.blocks.clear();
  ResidualStream x{.residual = slot.allocate(storage, shape), .branch = View()};
  embed(context, weights.embedding, tokens, x.residual);
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    saved.blocks.push_back(
        block_forward_keeping(context, weights.blocks[i], static_cast<int64_t>(i), tokens, x, branch, slot));
  }
  saved.final_norm = norm_forward(context, weights.head.norm, x, slot, slot);
}

void transformer_backward(Context& context, const TransformerWeights& weights, const TransformerWeights& gradients,
                          const TransformerSaved& saved, View totals, const UnitDone& unit_done) {
  ArenaFrame frame(context.scratch);
  const View d = context.scratch.allocate(saved.final_norm.sum.dtype, saved.final_norm.sum.shape);
  {
    ArenaFrame head_frame(context.scratch);
    const View dy = context.scratch.allocate(d.dtype, d.shape);
    head_loss_and_gradient(context, weights.head, gradients.head, saved.tokens, saved.final_norm, dy, totals);
    norm_backward(context, weights.head.norm, gradients.head.norm, saved.final_norm, {.dy = dy, .dx = d});
  }
  unit_done(weights.blocks.size() + 1);
  for (size_t i = weights.blocks.size(); i-- > 0;) {
    block_backward(context, weights.blocks[i], gradients.blocks[i], static_cast<int64_t>(i), saved.tokens,
                   saved.blocks[i], d);
    unit_done(i + 1);
  }
  apply_dropout(context, 0, DropoutPlace::embedding, saved.tokens, d, d);
  embedding_backward(context.stream,
                     {.tokens = saved.tokens.tokens,
                      .positions = saved.tokens.positions,
                      .dy = d,
                      .dtoken_table = gradients.embedding.tokens,
                      .dposition_table = gradients.embedding.positions},
                     context.scratch);
  unit_done(0);
}

View transformer_cached(Context& context, const TransformerWeights& weights, const CachedTokens& input,
                        const std::vector<KeyValueCache>& caches, Arena& slot) {
  ArenaFrame frame(context.scratch);
  Arena& scratch = context.scratch;
  const TokenViews& tokens = input.tokens;
  const runtime::Shape shape{tokens.B * tokens.T, context.config.width};
  const DType storage = weights.embedding.tokens.dtype;
  const View x = scratch.allocate(storage, shape);
  const View branch = scratch.allocate(storage, shape);
  embed(context, weights.embedding, tokens, x);
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    ArenaFrame block_frame(scratch);
    const BlockWeights& block = weights.blocks[i];
    const NormSaved norm1 = norm_forward(context, block.norm1, {.residual = x, .branch = View()}, scratch, scratch);
    attention_cached(context, block.attention, input, norm1.y, caches[i], branch);
    runtime::add(context.stream, x, branch, x);
    const NormSaved norm2 = norm_forward(context, block.norm2, {.residual = x, .branch = View()}, scratch, scratch);
    feed_forward_down(context, block.feed_forward,
                      feed_forward_up(context, block.feed_forward, norm2.y, scratch, scratch), branch);
    runtime::add(context.stream, x, branch, x);
  }
  return norm_forward(context, weights.head.norm, {.residual = x, .branch = View()}, slot, slot).y;
}

}  // namespace trireme::model
