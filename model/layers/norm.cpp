#include "model/layers/norm.h"

#include "model/layers/linear.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/layer_norm.h"
#include "runtime/ops/rms_norm.h"

namespace trireme::model {

using runtime::Arena;
using runtime::ConstView;
using runtime::DType;
using runtime::View;

namespace {

/// `branch` is absent where saved.sum already is what is normalised.
void normalise(Context& context, const NormWeights& weights, ConstView residual, ConstView branch,
               const NormSaved& saved) {
  const View sum = branch.absent() ? View() : saved.sum;
  const auto epsilon = static_cast<float>(context.config.norm_epsilon);
  switch (context.config.norm) {
    case NormKind::layer_norm:
      return runtime::layer_norm_forward(context.stream, {.residual = residual,
                                                          .branch = branch,
                                                          .weight = weights.weight,
                                                          .bias = weights.bias,
                                                          .epsilon = epsilon,
                                                          .sum = sum,
                                                          .y = saved.y,
                                                          .mean = saved.mean,
                                                          .rstd = saved.rstd});
    case NormKind::rms_norm:
      return runtime::rms_norm_forward(context.stream, {.residual = residual,
                                                        .branch = branch,
                                                        .weight = weights.weight,
                                                        .epsilon = epsilon,
                                                        .sum = sum,
                                                        .y = saved.y,
                                                        .rstd = saved.rstd});
  }
}

/// Where gradients go: to `gradients`, or into cleared vectors that are added to them later.
NormWeights gradient_target(Context& context, const NormWeights& gradients) {
  if (context.deferral == nullptr) return gradients;
  const auto later = [&](const View& to) {
    if (to.absent()) return View();
    const View from = context.deferral->arena.allocate(to.dtype, to.shape);
    runtime::fill(context.stream, from, 0);
    context.deferral->sums.push_back({.from = from, .to = to});
    return from;
  };
  return {.weight = later(gradients.weight), .bias = later(gradients.bias)};
}

}  // namespace

NormSaved norm_forward(Context& context, const NormWeights& weights, const ResidualStream& x, Arena& slot,
                       Arena& outputs) {
  const runtime::Shape shape = x.residual.shape;
  NormSaved saved;
  saved.sum = x.branch.absent() ? x.residual : slot.allocate(x.residual.dtype, shape);
  if (context.config.norm == NormKind::layer_norm) saved.mean = slot.allocate(DType::fp32, {shape[0]});
  saved.rstd = slot.allocate(DType::fp32, {shape[0]});
  saved.y = outputs.allocate(x.residual.dtype, shape);
  normalise(context, weights, x.residual, x.branch, saved);
  return saved;
}

View norm_again(Context& context, const NormWeights& weights, const NormSaved& saved, Arena& outputs) {
  NormSaved again = saved;
  again.y = outputs.allocate(saved.sum.dtype, saved.sum.shape);
  normalise(context, weights, saved.sum, ConstView(), again);
  return again.y;
}

void norm_backward(Context& context, const NormWeights& weights, const NormWeights& gradients, const NormSaved& saved,
                   const NormGradientViews& views) {
  const NormWeights into = gradient_target(context, gradients);
  switch (context.config.norm) {
    case NormKind::layer_norm:
      return runtime::layer_norm_backward(context.stream,
                                          {.dy = views.dy,
                                           .sum = saved.sum,
                                           .weight = weights.weight,
                                           .mean = saved.mean,
                                           .rstd = saved.rstd,
                                           .dresidual = views.dresidual,
                                           .dx = views.dx,
                                           .dweight = into.weight,
                                           .dbias = into.bias},
                                          context.scratch);
    case NormKind::rms_norm:
      return runtime::rms_norm_backward(context.stream,
                                        {.dy = views.dy,
                                         .sum = saved.sum,
                                         .weight = weights.weight,
                                         .rstd = saved.rstd,
                                         .dresidual = views.dresidual,
                                         .dx = views.dx,
                                         .dweight = into.weight},
                                        context.scratch);
  }
}

}  // namespace trireme::model
