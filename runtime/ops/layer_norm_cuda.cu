#include "runtime/ops/layer_norm_cuda.h"

#include "runtime/ops/check.h"
#include "runtime/ops/norm_backward_cuda.cuh"
#include "runtime/ops/norm_forward_cuda.cuh"

namespace trireme::runtime::cuda {
namespace {

template <typename T>
NormForwardRows<T> forward_rows(const LayerNormForward& args) {
  const bool with_branch = !args.branch.absent();
  NormForwardRows<T> rows{.residual = args.residual.as<T>(),
                          .branch = with_branch ? args.branch.as<T>() : nullptr,
                          .weight = args.weight.as<T>(),
                          .bias = args.bias.as<T>(),
                          .sum = with_branch ? args.sum.as<T>() : nullptr,
                          .y = args.y.as<T>(),
                          .mean = args.mean.as<float>(),
                          .rstd = args.rstd.as<float>(),
                          .N = args.residual.shape[0],
                          .C = args.residual.shape[1],
                          .epsilon = args.epsilon};
  rows.aligned = fits_vectors<T>(rows.C, rows.residual, rows.branch, rows.weight, rows.bias, rows.sum, rows.y);
  return rows;
}

template <typename T>
NormBackwardRows<T> backward_rows(const LayerNormBackward& args, View scratch) {
  NormBackwardRows<T> rows{.dy = args.dy.as<T>(),
                           .sum = args.sum.as<T>(),
                           .weight = args.weight.as<T>(),
                           .mean = args.mean.as<float>(),
                           .rstd = args.rstd.as<float>(),
                           .dresidual = args.dresidual.absent() ? nullptr : args.dresidual.as<T>(),
                           .dx = args.dx.as<T>(),
                           .partials = scratch.as<float>(),
                           .dweight = args.dweight.as<float>(),
                           .dbias = args.dbias.as<float>(),
                           .N = args.dy.shape[0],
                           .C = args.dy.shape[1]};
  rows.aligned = fits_vectors<T>(rows.C, rows.dy, rows.sum, rows.weight, rows.dresidual, rows.dx);
  return rows;
}

}  // namespace

void layer_norm_forward(CudaQueue& queue, const LayerNormForward& args) {
  with_storage(args.residual.dtype, [&](auto zero) { norm_forward<true>(queue, forward_rows<decltype(zero)>(args)); });
}

void layer_norm_backward(CudaQueue& queue, const LayerNormBackward& args, View scratch) {
  with_storage(args.dy.dtype,
               [&](auto zero) { norm_backward<true>(queue, backward_rows<decltype(zero)>(args, scratch)); });
}

}  // namespace trireme::runtime::cuda
