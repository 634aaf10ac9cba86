#include "model/layers/feed_forward.h"

#include "runtime/ops/gelu.h"
#include "runtime/ops/linear.h"

namespace trireme::model {

using runtime::DType;
using runtime::Epilogue;
using runtime::View;

FeedForwardSaved feed_forward_forward(Context& context, const FeedForwardWeights& weights, runtime::ConstView x, View y,
                                      runtime::Arena& slot) {
  const runtime::Shape shape{x.shape[0], weights.up.shape[0]};
  FeedForwardSaved saved{.pre_activation = slot.allocate(DType::fp32, shape),
                         .activation = slot.allocate(DType::fp32, shape)};
  linear_forward(context.stream,
                 {.x = x,
                  .weight = weights.up,
                  .bias = weights.up_bias,
                  .epilogue = Epilogue::bias_gelu,
                  .y = saved.activation,
                  .pre_activation = saved.pre_activation},
                 context.scratch);
  linear_forward(
      context.stream,
      {.x = saved.activation, .weight = weights.down, .bias = weights.down_bias, .epilogue = Epilogue::bias, .y = y},
      context.scratch);
  return saved;
}

void feed_forward_backward(Context& context, const FeedForwardWeights& weights, const FeedForwardWeights& gradients,
                           const FeedForwardSaved& saved, const FeedForwardGradientViews& views) {
  runtime::ArenaFrame frame(context.scratch);
  const View dactivation = context.scratch.allocate(DType::fp32, saved.activation.shape);
  linear_backward_input(context.stream, views.dy, weights.down, dactivation, context.scratch);
  linear_backward_weight(context.stream, views.dy, saved.activation, gradients.down, gradients.down_bias,
                         context.scratch);
  gelu_backward(context.stream, saved.pre_activation, dactivation, dactivation);
  linear_backward_input(context.stream, dactivation, weights.up, views.dx, context.scratch);
  linear_backward_weight(context.stream, dactivation, views.x, gradients.up, gradients.up_bias, context.scratch);
}

}  // namespace trireme::model
