#include "runtime/ops/rms_norm_cuda.h"

#include "runtime/ops/check.h"
#include "runtime/ops/norm_backward_cuda.cuh"
#include "runtime/ops/norm_forward_cuda.cuh"

namespace trireme::runtime::cuda {
namespace {

template <typename T>
NormForwardRows<T> forward_rows(const RmsNormForward& args) {
  const bool with_branch = !args.branch.absent();
  NormForwardRows<T> rows{.residual = args.residual.as<T>(),
                          .branch = with_branch ? args.branch.as<T>() : nullptr,
                          .weight = args.weight.as<T>(),
                          .sum = with_branch ? args.sum.as<T>() : nullptr,
                          .y = args.y.as<T>(),
                          .rstd = args.rstd.as<float>(),
                          .N = args.residual.shape[0],
                          .C = args.residual.shape[1],
                          .epsilon = args.epsilon};
  rows.aligned = fits_vectors<T>(rows.C, rows.residual, rows.branch, rows.weight, rows.sum, rows.y);
  return rows;
}

template <typename T>
NormBackwardRows<T> backward_rows(const RmsNormBackward& args, View scratch) {
  NormBackwardRows<T> rows{.dy = args.dy.as<T>(),
                           .sum = args.sum.as<T>(),
                           .weight = args.weight.as<T>(),
                           .rstd = args.rstd.as<float>(),
                           .dresidual = args.dresidual.absent() ? nullptr : args.dresidual.as<T>(),
                           .dx = args.dx.as<T>(),
                           .partials = scratch.as<float>(),
                           .dweight = args.dweight.as<float>(),
                           .N = args.dy.shape[0],
                           .C = args.dy.shape[1]};
  rows.aligned = fits_vectors<T>(rows.C, rows.dy, rows.sum, rows.weight, rows.dresidual, rows.dx);
  return rows;
}

}  // namespace

void rms_norm_forward(CudaQueue& queue, const RmsNormForward& args) {
  with_storage(args.residual.dtype, [&](auto zero) { norm_forward<false>(queue, forward_rows<decltype(zero)>(args)); });
}

void rms_norm_backward(CudaQueue& queue, const RmsNormBackward& args, View scratch) {
  with_storage(args.dy.dtype,
               [&](auto zero) { norm_backward<false>(queue, backward_rows<decltype(zero)>(args, scratch)); });
}

}  // namespace trireme::runtime::cuda
