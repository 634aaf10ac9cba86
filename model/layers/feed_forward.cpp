#include "model/layers/feed_forward.h"

#include "runtime/ops/gelu.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/swiglu.h"

namespace trireme::model {

using runtime::Arena;
using runtime::ConstView;
using runtime::Shape;
using runtime::View;

namespace {

/// (N, F): of the input of `down`.
Shape activation_shape(const Context& context, int64_t N) {
  return {N, context.config.feed_forward_width / context.tp.size()};
}

void activate(Context& context, View pre_activation, View activation) {
  switch (context.config.activation) {
    case ActivationKind::gelu:
      return runtime::gelu_forward(context.stream, pre_activation, activation);
    case ActivationKind::swiglu:
      return runtime::swiglu_forward(context.stream, pre_activation, activation);
  }
}

void activate_backward(Context& context, View pre_activation, View dactivation, View dpre_activation) {
  switch (context.config.activation) {
    case ActivationKind::gelu:
      return runtime::gelu_backward(context.stream, pre_activation, dactivation, dpre_activation);
    case ActivationKind::swiglu:
      return runtime::swiglu_backward(context.stream, pre_activation, dactivation, dpre_activation);
  }
}

}  // namespace

FeedForwardSaved feed_forward_up(Context& context, const FeedForwardWeights& weights, ConstView x, Arena& slot,
                                 Arena& outputs) {
  const int64_t N = x.shape[0] * context.tp.size();
  FeedForwardSaved saved{.pre_activation = slot.allocate(x.dtype, {N, weights.up.weight.shape[0]}),
                         .activation = outputs.allocate(x.dtype, activation_shape(context, N))};
  runtime::ArenaFrame frame(context.scratch);
  const ConstView whole = gather_tokens(context, x, context.scratch);
  if (context.config.activation == ActivationKind::gelu && !weights.up.bias.absent()) {
    runtime::linear_forward(context.stream,
                            {.x = whole,
                             .weight = weights.up.weight,
                             .bias = weights.up.bias,
                             .epilogue = runtime::Epilogue::bias_gelu,
                             .y = saved.activation,
                             .pre_activation = saved.pre_activation},
                            context.scratch);
  } else {
    linear(context, weights.up, whole, saved.pre_activation);
    activate(context, saved.pre_activation, saved.activation);
  }
  return saved;
}

void feed_forward_down(Context& context, const FeedForwardWeights& weights, const FeedForwardSaved& saved, View y) {
  linear_row_parallel(context, weights.down, saved.activation, y);
}

View activation_again(Context& context, const FeedForwardSaved& saved, Arena& outputs) {
  const View activation =
      outputs.allocate(saved.pre_activation.dtype, activation_shape(context, saved.pre_activation.shape[0]));
  activate(context, saved.pre_activation, activation);
  return activation;
}

void feed_forward_backward(Context& context, const FeedForwardWeights& weights, const FeedForwardWeights& gradients,
                           const FeedForwardSaved& saved, const GradientViews& views) {
  runtime::ArenaFrame frame(context.scratch);
  const bool in_place = saved.pre_activation.shape == saved.activation.shape;
  const View dpre_activation = operand_arena(context).allocate(views.dy.dtype, saved.pre_activation.shape);
  const View dactivation =
      in_place ? dpre_activation : context.scratch.allocate(views.dy.dtype, saved.activation.shape);
  linear_row_parallel_backward(context, weights.down, gradients.down,
                               {.x = saved.activation, .dy = views.dy, .dx = dactivation});
  activate_backward(context, saved.pre_activation, dactivation, dpre_activation);
  linear_backward(context, weights.up, gradients.up, {.x = views.x, .dy = dpre_activation, .dx = views.dx});
}

}  // namespace trireme::model
