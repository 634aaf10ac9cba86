#include "model/transformer.h"

#include "runtime/error.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/embedding.h"

namespace trireme::model {

using runtime::Arena;
using runtime::ArenaFrame;
using runtime::DType;
using runtime::View;

namespace {

/// Looks parameters of one unit up by the end of their names.
class UnitViews {
 public:
  UnitViews(const Unit& unit, View Unit::*range) : unit_(unit), range_(unit.*range) {}

  View operator()(const std::string& suffix) const { return unit_.part(range_, index_of(suffix)); }

  /// `count` fused parameters from `suffix` on, as one matrix or vector.
  View fused(const std::string& suffix, size_t count) const {
    const size_t first = index_of(suffix);
    const parallel::PlacedParameter& parameter = unit_.layout.parameters[first];
    int64_t rows = 0;
    for (size_t i = first; i < first + count; ++i) rows += unit_.layout.parameters[i].spec.box.size[0];
    const std::vector<int64_t>& size = parameter.spec.box.size;
    return range_.range(parameter.offset, size.size() == 1 ? runtime::Shape{rows} : runtime::Shape{rows, size[1]});
  }

 private:
  size_t index_of(const std::string& suffix) const {
    for (size_t i = 0; i < unit_.layout.parameters.size(); ++i) {
      if (unit_.layout.parameters[i].spec.name.ends_with(suffix)) return i;
    }
    throw runtime::Error(runtime::ErrorKind::internal, "unit " + unit_.layout.name + " has no parameter " + suffix);
  }

  const Unit& unit_;
  View range_;
};

BlockWeights bind_block(const UnitViews& of) {
  return {
      .norm1 = {of("input_layernorm.weight"), of("input_layernorm.bias")},
      .attention = {of.fused("q_proj.weight", 3), of.fused("q_proj.bias", 3), of("o_proj.weight"), of("o_proj.bias")},
      .norm2 = {of("post_attention_layernorm.weight"), of("post_attention_layernorm.bias")},
      .feed_forward = {of("up_proj.weight"), of("up_proj.bias"), of("down_proj.weight"), of("down_proj.bias")}};
}

void embed(Context& context, const EmbeddingWeights& weights, const TokenViews& tokens, View x) {
  embedding_forward(context.stream, {.tokens = tokens.tokens,
                                     .positions = tokens.positions,
                                     .token_table = weights.tokens,
                                     .position_table = weights.positions,
                                     .y = x});
  apply_dropout(context, 0, DropoutPlace::embedding, tokens, x, x);
}

/// x = x + attention(norm1(x)); x = x + feed_forward(norm2(x)). The second addition is left to the next norm.
BlockSaved block_forward(Context& context, const BlockWeights& weights, int64_t layer, const TokenViews& tokens,
                         ResidualStream& x, View branch, Arena& slot) {
  BlockSaved saved;
  saved.norm1 = norm_forward(context, weights.norm1, x, slot);
  saved.attention = attention_forward(context, weights.attention, tokens, saved.norm1.y, branch, slot);
  apply_dropout(context, layer, DropoutPlace::attention, tokens, branch, branch);
  x = {.residual = saved.norm1.sum, .branch = branch};
  saved.norm2 = norm_forward(context, weights.norm2, x, slot);
  saved.feed_forward = feed_forward_forward(context, weights.feed_forward, saved.norm2.y, branch, slot);
  apply_dropout(context, layer, DropoutPlace::feed_forward, tokens, branch, branch);
  x = {.residual = saved.norm2.sum, .branch = branch};
  return saved;
}

/// The gradient that enters a branch: d, or a copy of it through the branch's dropout.
View branch_gradient(Context& context, int64_t layer, DropoutPlace place, const TokenViews& tokens, View d, View copy) {
  if (context.dropout == 0) return d;
  apply_dropout(context, layer, place, tokens, d, copy);
  return copy;
}

/// d (N, C): gradient of the residual stream, from behind the block to before it.
void block_backward(Context& context, const BlockWeights& weights, const BlockWeights& gradients, int64_t layer,
                    const TokenViews& tokens, const BlockSaved& saved, View d) {
  ArenaFrame frame(context.scratch);
  const View dnorm = context.scratch.allocate(DType::fp32, d.shape);
  const View copy = context.dropout == 0 ? View() : context.scratch.allocate(DType::fp32, d.shape);
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
  for (size_t i = 1; i + 1 < units.size(); ++i) weights.blocks.push_back(bind_block(UnitViews(units[i], range)));
  weights.head.norm = {head("norm.weight"), head("norm.bias")};
  weights.head.table = config.tied_embeddings ? weights.embedding.tokens : head("lm_head.weight");
  return weights;
}

void transformer_forward(Context& context, const TransformerWeights& weights, const TokenViews& tokens,
                         TransformerSaved& saved, Arena& slot) {
  ArenaFrame frame(context.scratch);
  const runtime::Shape shape{tokens.B * tokens.T, context.config.width};
  const View branch = context.scratch.allocate(DType::fp32, shape);
  saved.tokens = tokens;
  saved.blocks.clear();
  ResidualStream x{.residual = slot.allocate(DType::fp32, shape), .branch = View()};
  embed(context, weights.embedding, tokens, x.residual);
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    saved.blocks.push_back(block_forward(context, weights.blocks[i], static_cast<int64_t>(i), tokens, x, branch, slot));
  }
  saved.final_norm = norm_forward(context, weights.head.norm, x, slot);
}

void transformer_backward(Context& context, const TransformerWeights& weights, const TransformerWeights& gradients,
                          const TransformerSaved& saved, View totals, const UnitDone& unit_done) {
  ArenaFrame frame(context.scratch);
  const View d = context.scratch.allocate(DType::fp32, saved.final_norm.sum.shape);
  {
    ArenaFrame head_frame(context.scratch);
    const View dy = context.scratch.allocate(DType::fp32, saved.final_norm.y.shape);
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
  embedding_backward(context.stream, {.tokens = saved.tokens.tokens,
                                      .positions = saved.tokens.positions,
                                      .dy = d,
                                      .dtoken_table = gradients.embedding.tokens,
                                      .dposition_table = gradients.embedding.positions});
  unit_done(0);
}

View transformer_cached(Context& context, const TransformerWeights& weights, const CachedTokens& input,
                        const std::vector<KeyValueCache>& caches, Arena& slot) {
  ArenaFrame frame(context.scratch);
  Arena& scratch = context.scratch;
  const TokenViews& tokens = input.tokens;
  const runtime::Shape shape{tokens.B * tokens.T, context.config.width};
  const View x = scratch.allocate(DType::fp32, shape);
  const View branch = scratch.allocate(DType::fp32, shape);
  embed(context, weights.embedding, tokens, x);
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    ArenaFrame block_frame(scratch);
    const BlockWeights& block = weights.blocks[i];
    const NormSaved norm1 = norm_forward(context, block.norm1, {.residual = x, .branch = View()}, scratch);
    attention_cached(context, block.attention, input, norm1.y, caches[i], branch);
    runtime::add(context.stream, x, branch, x);
    const NormSaved norm2 = norm_forward(context, block.norm2, {.residual = x, .branch = View()}, scratch);
    feed_forward_forward(context, block.feed_forward, norm2.y, branch, scratch);
    runtime::add(context.stream, x, branch, x);
  }
  return norm_forward(context, weights.head.norm, {.residual = x, .branch = View()}, slot).y;
}

}  // namespace trireme::model
