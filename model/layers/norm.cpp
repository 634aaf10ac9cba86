#include "model/layers/norm.h"

#include "runtime/ops/layer_norm.h"

namespace trireme::model {

using runtime::DType;

NormSaved norm_forward(Context& context, const NormWeights& weights, const ResidualStream& x, runtime::Arena& slot) {
  const runtime::Shape shape = x.residual.shape;
  const bool has_branch = !x.branch.absent();
  NormSaved saved;
  saved.sum = has_branch ? slot.allocate(DType::fp32, shape) : x.residual;
  saved.y = slot.allocate(DType::fp32, shape);
  saved.mean = slot.allocate(DType::fp32, {shape[0]});
  saved.rstd = slot.allocate(DType::fp32, {shape[0]});
  runtime::layer_norm_forward(context.stream, {.residual = x.residual,
                                               .branch = x.branch,
                                               .weight = weights.weight,
                                               .bias = weights.bias,
                                               .epsilon = static_cast<float>(context.config.norm_epsilon),
                                               .sum = has_branch ? saved.sum : runtime::View(),
                                               .y = saved.y,
                                               .mean = saved.mean,
                                               .rstd = saved.rstd});
  return saved;
}

void norm_backward(Context& context, const NormWeights& weights, const NormWeights& gradients, const NormSaved& saved,
                   const NormGradientViews& views) {
  runtime::layer_norm_backward(context.stream, {.dy = views.dy,
                                                .sum = saved.sum,
                                                .weight = weights.weight,
                                                .mean = saved.mean,
                                                .rstd = saved.rstd,
                                                .dresidual = views.dresidual,
                                                .dx = views.dx,
                                                .dweight = gradients.weight,
                                                .dbias = gradients.bias});
}

}  // namespace trireme::model
