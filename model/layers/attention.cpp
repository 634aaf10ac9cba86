#include "model/layers/attention.h"

#include "runtime/ops/attention.h"
#include "runtime/ops/rope.h"

namespace trireme::model {

using runtime::ArenaFrame;
using runtime::ConstView;
using runtime::DType;
using runtime::Rotation;
using runtime::View;

namespace {

runtime::AttentionShape shape_of(const Context& context, const TokenViews& tokens) {
  const ModelConfig& config = context.config;
  const int P = context.tp.size();
  return {.B = tokens.B, .T = tokens.T, .H = config.heads / P, .K = config.kv_heads / P, .D = config.head_width};
}

/// Turns the q and k heads (or their gradients back) by the positions of their tokens, where the model has rope.
void rotate(Context& context, const TokenViews& tokens, View qkv, Rotation rotation) {
  if (context.rope_table.absent()) return;
  runtime::rope(context.stream, shape_of(context, tokens),
                {.table = context.rope_table, .positions = tokens.positions, .qkv = qkv, .rotation = rotation});
}

}  // namespace

AttentionSaved attention_forward(Context& context, const AttentionWeights& weights, const TokenViews& tokens,
                                 ConstView x, View y, runtime::Arena& slot) {
  const runtime::AttentionShape shape = shape_of(context, tokens);
  const int64_t N = tokens.B * tokens.T;
  AttentionSaved saved{.qkv = slot.allocate(x.dtype, {N, (shape.H + 2 * shape.K) * shape.D}),
                       .heads = slot.allocate(x.dtype, {N, shape.H * shape.D}),
                       .log_sum_exp = slot.allocate(DType::fp32, {shape.B, shape.H, shape.T})};
  {
    ArenaFrame frame(context.scratch);
    linear(context, weights.qkv, gather_tokens(context, x, context.scratch), saved.qkv);
  }
  rotate(context, tokens, saved.qkv, Rotation::forward);
  runtime::attention_forward(
      context.stream, shape,
      {.qkv = saved.qkv, .y = saved.heads, .log_sum_exp = saved.log_sum_exp, .first_keys = tokens.first_keys},
      context.scratch);
  linear_row_parallel(context, weights.out, saved.heads, y);
  return saved;
}

void attention_backward(Context& context, const AttentionWeights& weights, const AttentionWeights& gradients,
                        const TokenViews& tokens, const AttentionSaved& saved, const GradientViews& views) {
  ArenaFrame frame(context.scratch);
  const View dheads = context.scratch.allocate(views.dy.dtype, saved.heads.shape);
  const View dqkv = operand_arena(context).allocate(views.dy.dtype, saved.qkv.shape);
  linear_row_parallel_backward(context, weights.out, gradients.out, {.x = saved.heads, .dy = views.dy, .dx = dheads});
  runtime::attention_backward(context.stream, shape_of(context, tokens),
                              {.qkv = saved.qkv,
                               .y = saved.heads,
                               .log_sum_exp = saved.log_sum_exp,
                               .dy = dheads,
                               .dqkv = dqkv,
                               .first_keys = tokens.first_keys},
                              context.scratch);
  rotate(context, tokens, dqkv, Rotation::backward);
  linear_backward(context, weights.qkv, gradients.qkv, {.x = views.x, .dy = dqkv, .dx = views.dx});
}

void attention_cached(Context& context, const AttentionWeights& weights, const CachedTokens& input, ConstView x,
                      const KeyValueCache& cache, View y) {
  ArenaFrame frame(context.scratch);
  const TokenViews& tokens = input.tokens;
  const runtime::AttentionShape shape = shape_of(context, tokens);
  const int64_t N = tokens.B * tokens.T;
  const View qkv = context.scratch.allocate(x.dtype, {N, (shape.H + 2 * shape.K) * shape.D});
  const View heads = context.scratch.allocate(x.dtype, {N, shape.H * shape.D});
  linear(context, weights.qkv, x, qkv);
  rotate(context, tokens, qkv, Rotation::forward);
  runtime::cached_attention(
      context.stream, shape,
      {.qkv = qkv, .key_cache = cache.keys, .value_cache = cache.values, .past = input.past, .y = heads},
      context.scratch);
  linear(context, weights.out, heads, y);
}

}  // namespace trireme::model
