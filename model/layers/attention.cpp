#include "model/layers/attention.h"

#include "runtime/ops/attention.h"
#include "runtime/ops/linear.h"

namespace trireme::model {

using runtime::ArenaFrame;
using runtime::ConstView;
using runtime::DType;
using runtime::Epilogue;
using runtime::View;

namespace {

runtime::AttentionShape shape_of(const Context& context, const TokenViews& tokens) {
  const ModelConfig& config = context.config;
  return {.B = tokens.B, .T = tokens.T, .H = config.heads, .K = config.kv_heads, .D = config.head_width};
}

}  // namespace

AttentionSaved attention_forward(Context& context, const AttentionWeights& weights, const TokenViews& tokens,
                                 ConstView x, View y, runtime::Arena& slot) {
  const runtime::AttentionShape shape = shape_of(context, tokens);
  const int64_t N = tokens.B * tokens.T;
  AttentionSaved saved{.qkv = slot.allocate(DType::fp32, {N, weights.qkv.shape[0]}),
                       .heads = slot.allocate(DType::fp32, {N, shape.H * shape.D}),
                       .log_sum_exp = slot.allocate(DType::fp32, {shape.B, shape.H, shape.T})};
  linear_forward(context.stream,
                 {.x = x, .weight = weights.qkv, .bias = weights.qkv_bias, .epilogue = Epilogue::bias, .y = saved.qkv},
                 context.scratch);
  runtime::attention_forward(context.stream, shape, saved.qkv, saved.heads, saved.log_sum_exp, context.scratch);
  linear_forward(
      context.stream,
      {.x = saved.heads, .weight = weights.out, .bias = weights.out_bias, .epilogue = Epilogue::bias, .y = y},
      context.scratch);
  return saved;
}

void attention_backward(Context& context, const AttentionWeights& weights, const AttentionWeights& gradients,
                        const TokenViews& tokens, const AttentionSaved& saved, const AttentionGradientViews& views) {
  ArenaFrame frame(context.scratch);
  const View dheads = context.scratch.allocate(DType::fp32, saved.heads.shape);
  const View dqkv = context.scratch.allocate(DType::fp32, saved.qkv.shape);
  linear_backward_input(context.stream, views.dy, weights.out, dheads, context.scratch);
  linear_backward_weight(context.stream, views.dy, saved.heads, gradients.out, gradients.out_bias, context.scratch);
  runtime::attention_backward(
      context.stream, shape_of(context, tokens),
      {.qkv = saved.qkv, .y = saved.heads, .log_sum_exp = saved.log_sum_exp, .dy = dheads, .dqkv = dqkv},
      context.scratch);
  linear_backward_input(context.stream, dqkv, weights.qkv, views.dx, context.scratch);
  linear_backward_weight(context.stream, dqkv, views.x, gradients.qkv, gradients.qkv_bias, context.scratch);
}

void attention_cached(Context& context, const AttentionWeights& weights, const CachedTokens& input, ConstView x,
                      const KeyValueCache& cache, View y) {
  ArenaFrame frame(context.scratch);
  const TokenViews& tokens = input.tokens;
  const runtime::AttentionShape shape = shape_of(context, tokens);
  const int64_t N = tokens.B * tokens.T;
  const View qkv = context.scratch.allocate(DType::fp32, {N, weights.qkv.shape[0]});
  const View heads = context.scratch.allocate(DType::fp32, {N, shape.H * shape.D});
  linear_forward(context.stream,
                 {.x = x, .weight = weights.qkv, .bias = weights.qkv_bias, .epilogue = Epilogue::bias, .y = qkv},
                 context.scratch);
  runtime::cached_attention(
      context.stream, shape,
      {.qkv = qkv, .key_cache = cache.keys, .value_cache = cache.values, .past = input.past, .y = heads},
      context.scratch);
  linear_forward(context.stream,
                 {.x = heads, .weight = weights.out, .bias = weights.out_bias, .epilogue = Epilogue::bias, .y = y},
                 context.scratch);
}

}  // namespace trireme::model
