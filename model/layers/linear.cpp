#include "model/layers/linear.h"

#include "runtime/ops/linear.h"

namespace trireme::model {

using runtime::Epilogue;

void linear(Context& context, const LinearWeights& weights, runtime::ConstView x, runtime::View y) {
  runtime::linear_forward(context.stream,
                          {.x = x,
                           .weight = weights.weight,
                           .bias = weights.bias,
                           .epilogue = weights.bias.absent() ? Epilogue::none : Epilogue::bias,
                           .y = y},
                          context.scratch);
}

void linear_backward(Context& context, const LinearWeights& weights, const LinearWeights& gradients,
                     const GradientViews& views) {
  runtime::linear_backward_input(context.stream, views.dy, weights.weight, views.dx, context.scratch);
  runtime::linear_backward_weight(context.stream, views.dy, views.x, gradients.weight, gradients.bias, context.scratch);
}

}  // namespace trireme::model
