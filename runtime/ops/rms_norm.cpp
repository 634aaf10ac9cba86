#include "runtime/ops/rms_norm.h"

#include "runtime/ops/check.h"
#include "runtime/ops/cuda_scratch.h"
#include "runtime/ops/rms_norm_cpu.h"
#include "runtime/ops/rms_norm_cuda.h"

namespace trireme::runtime {

void rms_norm_forward(Stream& stream, const RmsNormForward& args) {
  constexpr std::string_view op = "rms_norm_forward";
  const DType storage = storage_of(op, "residual", args.residual);
  check_rank(op, "residual", args.residual, 2);
  const int64_t N = args.residual.shape[0];
  const int64_t C = args.residual.shape[1];
  const bool with_branch = !args.branch.absent();
  if (with_branch) check_operand(op, "branch", args.branch, storage, {N, C});
  // Without a branch there is no sum to write either: a sum that nobody fills would be read as garbage in backward.
  check_operand(op, "sum", args.sum, with_branch ? storage : args.sum.dtype, with_branch ? Shape{N, C} : Shape{});
  check_operand(op, "weight", args.weight, storage, {C});
  check_operand(op, "y", args.y, storage, {N, C});
  check_operand(op, "rstd", args.rstd, DType::fp32, {N});

  const OpScope scope = stream.dispatch({.op = op,
                                         .flops = (with_branch ? 5 : 4) * N * C,
                                         .bytes = size_bytes(storage) * ((with_branch ? 4 : 2) * N * C + C) + 4 * N});
  switch (stream.device()) {
    case Device::cpu:
      cpu::rms_norm_forward(args);
      break;
    case Device::cuda:
      cuda::rms_norm_forward(stream.queue(), args);
      break;
    case Device::dry:
      break;
  }
}

void rms_norm_backward(Stream& stream, const RmsNormBackward& args, Arena& scratch) {
  constexpr std::string_view op = "rms_norm_backward";
  const DType storage = storage_of(op, "dy", args.dy);
  check_rank(op, "dy", args.dy, 2);
  const int64_t N = args.dy.shape[0];
  const int64_t C = args.dy.shape[1];
  const bool with_residual = !args.dresidual.absent();
  check_operand(op, "sum", args.sum, storage, {N, C});
  check_operand(op, "weight", args.weight, storage, {C});
  check_operand(op, "rstd", args.rstd, DType::fp32, {N});
  if (with_residual) check_operand(op, "dresidual", args.dresidual, storage, {N, C});
  check_operand(op, "dx", args.dx, storage, {N, C});
  check_operand(op, "dweight", args.dweight, DType::fp32, {C});

  const ArenaFrame frame(scratch);
  const View partials = cuda_scratch(stream, scratch, DType::fp32, cuda::rms_norm_backward_scratch(N, C));
  const OpScope scope =
      stream.dispatch({.op = op,
                       .flops = (with_residual ? 10 : 9) * N * C,
                       .bytes = size_bytes(storage) * ((with_residual ? 4 : 3) * N * C + C) + 8 * C + 4 * N});
  switch (stream.device()) {
    case Device::cpu:
      cpu::rms_norm_backward(args);
      break;
    case Device::cuda:
      cuda::rms_norm_backward(stream.queue(), args, partials);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
