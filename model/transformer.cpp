#include "model/transformer.h"

#include <algorithm>

#include "runtime/ops/elementwise.h"

namespace trireme::model {

using parallel::UnitMemory;
using parallel::UnitShards;
using runtime::Arena;
using runtime::ArenaFrame;
using runtime::DType;
using runtime::View;

namespace {

/// Looks parameters of one unit up by the end of their names; absent views for those that the family has not.
class UnitViews {
 public:
  UnitViews(const Unit& unit, View parallel::UnitMemory::*range) : unit_(unit), range_(unit.memory.*range) {}

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

/// Block `i` of a chunk in the whole model.
int64_t layer_of(const TransformerChunk& chunk, size_t i) {
  return chunk.place.first_layer + static_cast<int64_t>(i);
}

/// Before block `i` is computed; block i + step comes after it.
void read_block(const TransformerChunk& chunk, UnitShards& shards, size_t i, int step) {
  const size_t next = i + static_cast<size_t>(step);  // -1 wraps round, which is out of range as well
  const size_t first = chunk.units.first_layer;
  shards.read(first + i, next < chunk.weights.blocks.size() ? first + next : UnitShards::kNone);
}

void read_head(const TransformerChunk& chunk, UnitShards& shards) {
  shards.read(chunk.units.head);
  shards.read(chunk.units.head_table);
}

/// d := gradient of the residual stream before the final norm, from the loss.
void head_backward(Context& context, const TransformerChunk& chunk, UnitShards& shards, const TransformerSaved& saved,
                   View d, View totals, bool last) {
  ArenaFrame frame(context.scratch);
  const View dy = context.scratch.allocate(d.dtype, d.shape);
  const HeadWeights& weights = chunk.weights.head;
  const HeadWeights& gradients = chunk.gradients.head;
  read_head(chunk, shards);
  head_loss_and_gradient(context, weights, gradients, saved.tokens, saved.final_norm, dy, totals);
  norm_backward(context, weights.norm, gradients.norm, saved.final_norm, {.dy = dy, .dx = d});
  shards.end_gradients(chunk.units.head, last);
  const size_t table = chunk.units.head_gradients;
  if (table != chunk.units.head && table != chunk.units.embedding) shards.end_gradients(table, last);
}

void embedding_backward(Context& context, const TransformerChunk& chunk, UnitShards& shards,
                        const TransformerSaved& saved, View d, bool last) {
  apply_dropout(context, 0, DropoutPlace::embedding, saved.tokens, d, d);
  embed_backward(context, chunk.gradients.embedding, saved.tokens, d);
  shards.end_gradients(chunk.units.embedding, last);
  if (chunk.units.positions != kNoUnit) shards.end_gradients(chunk.units.positions, last);
}

}  // namespace

TransformerWeights bind_weights(const ModelConfig& config, const std::vector<Unit>& units, const ChunkPlace& place,
                                const ChunkUnits& chunk, View UnitMemory::*range) {
  TransformerWeights weights;
  if (place.is_first) {
    weights.embedding.tokens = UnitViews(units[chunk.embedding], range)("embed_tokens.weight");
    if (chunk.positions != kNoUnit) {
      weights.embedding.positions = UnitViews(units[chunk.positions], range)("embed_positions.weight");
    }
  }
  for (size_t i = 0; i < static_cast<size_t>(place.layers); ++i) {
    weights.blocks.push_back(bind_block(UnitViews(units[chunk.first_layer + i], range), config));
  }
  if (place.is_last) {
    weights.head.norm = bind_norm(UnitViews(units[chunk.head], range), "norm");
    const UnitViews table(units[chunk.head_table], range);
    weights.head.table = table(config.tied_embeddings ? "embed_tokens.weight" : "lm_head.weight");
  }
  return weights;
}

View transformer_forward(Context& context, const TransformerChunk& chunk, UnitShards& shards, const TokenViews& tokens,
                         View input, TransformerSaved& saved, Arena& slot) {
  ArenaFrame frame(context.scratch);
  const TransformerWeights& weights = chunk.weights;
  const DType storage = chunk.storage;
  const runtime::Shape shape{tokens.B * tokens.T / context.tp.size(), context.config.width};
  const View branch = context.scratch.allocate(storage, shape);
  saved.tokens = tokens;
  saved.blocks.clear();
  ResidualStream x{.residual = input, .branch = View()};
  if (chunk.place.is_first) {
    x.residual = slot.allocate(storage, shape);
    shards.read(chunk.units.embedding);
    if (chunk.units.positions != kNoUnit) shards.read(chunk.units.positions);
    embed(context, weights.embedding, tokens, x.residual);
    apply_dropout(context, 0, DropoutPlace::embedding, tokens, x.residual, x.residual);
  }
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    read_block(chunk, shards, i, 1);
    saved.blocks.push_back(block_forward(context, weights.blocks[i], layer_of(chunk, i), tokens, x, branch, slot));
  }
  if (chunk.place.is_last) {
    read_head(chunk, shards);
    saved.final_norm = norm_forward(context, weights.head.norm, x, slot, slot);
    return {};
  }
  if (x.branch.absent()) return x.residual;
  const View output = slot.allocate(storage, shape);
  runtime::add(context.stream, x.residual, x.branch, output);
  return output;
}

void transformer_backward(Context& context, const TransformerChunk& chunk, UnitShards& shards,
                          const TransformerSaved& saved, View d, View totals, bool last) {
  if (chunk.place.is_last) head_backward(context, chunk, shards, saved, d, totals, last);
  for (size_t i = chunk.weights.blocks.size(); i-- > 0;) {
    const size_t unit = chunk.units.first_layer + i;
    read_block(chunk, shards, i, -1);
    shards.begin_gradients(unit);
    block_backward(context, chunk.weights.blocks[i], chunk.gradients.blocks[i], layer_of(chunk, i), saved.tokens,
                   saved.blocks[i], d);
    shards.end_gradients(unit, last);
  }
  if (chunk.place.is_first) embedding_backward(context, chunk, shards, saved, d, last);
}

void transformer_backward_input(Context& context, const TransformerChunk& chunk, UnitShards& shards,
                                TransformerSaved& saved, View d, View totals, bool last, Arena& slot) {
  if (chunk.place.is_last) head_backward(context, chunk, shards, saved, d, totals, last);
  saved.deferred.resize(chunk.weights.blocks.size());
  for (size_t i = chunk.weights.blocks.size(); i-- > 0;) {
    BlockDeferred& left = saved.deferred[i];
    left.products.clear();
    left.sums.clear();
    Deferral deferral{.arena = slot, .products = left.products, .sums = left.sums};
    Context deferring = context;
    deferring.deferral = &deferral;
    read_block(chunk, shards, i, -1);
    block_backward(deferring, chunk.weights.blocks[i], chunk.gradients.blocks[i], layer_of(chunk, i), saved.tokens,
                   saved.blocks[i], d);
  }
  if (chunk.place.is_first) embedding_backward(context, chunk, shards, saved, d, last);
}

void transformer_backward_weight(Context& context, const TransformerChunk& chunk, UnitShards& shards,
                                 const TransformerSaved& saved, bool last) {
  for (size_t i = chunk.weights.blocks.size(); i-- > 0;) {
    const size_t unit = chunk.units.first_layer + i;
    shards.begin_gradients(unit);
    do_deferred(context, saved.deferred[i].products, saved.deferred[i].sums);
    shards.end_gradients(unit, last);
  }
}

View transformer_cached(Context& context, const TransformerWeights& weights, const CachedTokens& input,
                        const std::vector<KeyValueCache>& caches, Arena& slot) {
  ArenaFrame frame(context.scratch);
  const runtime::Shape shape{input.tokens.B * input.tokens.T, context.config.width};
  const DType storage = weights.embedding.tokens.dtype;
  const View x = context.scratch.allocate(storage, shape);
  const View branch = context.scratch.allocate(storage, shape);
  embed(context, weights.embedding, input.tokens, x);
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    block_cached(context, weights.blocks[i], input, caches[i], x, branch);
  }
  return norm_forward(context, weights.head.norm, {.residual = x, .branch = View()}, slot, slot).y;
}

}  // namespace trireme::model
