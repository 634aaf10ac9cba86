#include "runtime/ops/linear.h"

#include "runtime/ops/check.h"
#include "runtime/ops/cuda_scratch.h"
#include "runtime/ops/linear_cpu.h"
#include "runtime/ops/linear_cuda.h"

namespace trireme::runtime {
namespace {

void check_optional(std::string_view op, std::string_view operand, const ConstView& view, bool wanted, DType storage,
                    const Shape& shape) {
  check_operand(op, operand, view, wanted ? storage : view.dtype, wanted ? shape : Shape());
}

/// Panels of the CPU's product of `storage`.
cpu::ProductPanels panels_of(const Stream& stream, DType storage, Arena& scratch, cpu::ProductSizes sizes) {
  return storage == DType::bf16 && stream.planned_device() == Device::cpu ? cpu::product_panels(scratch, sizes)
                                                                          : cpu::ProductPanels();
}

/// What the GPU's products work in; a bias gradient of C elements besides.
View workspace_of(const Stream& stream, Arena& scratch, int64_t C = 0) {
  return cuda_scratch(stream, scratch, DType::u8, cuda::linear_scratch_bytes(C));
}

}  // namespace

void linear_forward(Stream& stream, const LinearForward& args, Arena& scratch) {
  constexpr std::string_view kOp = "linear_forward";
  check_rank(kOp, "x", args.x, 2);
  check_rank(kOp, "weight", args.weight, 2);
  const int64_t N = args.x.shape[0];
  const int64_t C_in = args.x.shape[1];
  const int64_t C_out = args.weight.shape[0];
  const bool has_bias = args.epilogue != Epilogue::none;
  const bool has_gelu = args.epilogue == Epilogue::bias_gelu;
  const DType storage = storage_of(kOp, "x", args.x);
  check_operand(kOp, "weight", args.weight, storage, {C_out, C_in});
  check_optional(kOp, "bias", args.bias, has_bias, storage, {C_out});
  check_operand(kOp, "y", args.y, storage, {N, C_out});
  check_optional(kOp, "pre_activation", args.pre_activation, has_gelu, storage, {N, C_out});

  const ArenaFrame frame(scratch);
  const cpu::ProductPanels panels =
      N <= cpu::kFewRows ? cpu::ProductPanels() : panels_of(stream, storage, scratch, {N, C_out, C_in});
  const View workspace = workspace_of(stream, scratch);
  const OpScope scope = stream.dispatch(
      {.op = kOp,
       .flops = 2 * N * C_in * C_out,
       .bytes = args.x.bytes() + args.weight.bytes() + args.bias.bytes() + args.y.bytes() + args.pre_activation.bytes(),
       .sizes = {N, C_in, C_out}});
  switch (stream.device()) {
    case Device::cpu:
      cpu::linear_forward(args, panels);
      break;
    case Device::cuda:
      cuda::linear_forward(stream.queue(), args, workspace);
      break;
    case Device::dry:
      break;
  }
}

void linear_backward_input(Stream& stream, ConstView dy, ConstView weight, View dx, Arena& scratch) {
  constexpr std::string_view kOp = "linear_backward_input";
  check_rank(kOp, "dy", dy, 2);
  check_rank(kOp, "weight", weight, 2);
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = weight.shape[1];
  const DType storage = storage_of(kOp, "dy", dy);
  check_operand(kOp, "weight", weight, storage, {C_out, C_in});
  check_operand(kOp, "dx", dx, storage, {N, C_in});

  const ArenaFrame frame(scratch);
  const cpu::ProductPanels panels = panels_of(stream, storage, scratch, {N, C_in, C_out});
  const View workspace = workspace_of(stream, scratch);
  const OpScope scope = stream.dispatch({.op = kOp,
                                         .flops = 2 * N * C_in * C_out,
                                         .bytes = dy.bytes() + weight.bytes() + dx.bytes(),
                                         .sizes = {N, C_in, C_out}});
  switch (stream.device()) {
    case Device::cpu:
      cpu::linear_backward_input(dy, weight, dx, panels);
      break;
    case Device::cuda:
      cuda::linear_backward_input(stream.queue(), dy, weight, dx, workspace);
      break;
    case Device::dry:
      break;
  }
}

void linear_backward_weight(Stream& stream, ConstView dy, ConstView x, View dweight, View dbias, Arena& scratch) {
  constexpr std::string_view kOp = "linear_backward_weight";
  check_rank(kOp, "dy", dy, 2);
  check_rank(kOp, "x", x, 2);
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = x.shape[1];
  const DType storage = storage_of(kOp, "dy", dy);
  check_operand(kOp, "x", x, storage, {N, C_in});
  check_operand(kOp, "dweight", dweight, DType::fp32, {C_out, C_in});
  if (!dbias.absent()) check_operand(kOp, "dbias", dbias, DType::fp32, {C_out});

  const ArenaFrame frame(scratch);
  const cpu::ProductPanels panels = panels_of(stream, storage, scratch, {C_out, C_in, N});
  const View workspace = workspace_of(stream, scratch, dbias.absent() ? 0 : C_out);
  // What is added to is read and written.
  const OpScope scope = stream.dispatch({.op = kOp,
                                         .flops = 2 * N * C_in * C_out,
                                         .bytes = dy.bytes() + x.bytes() + 2 * dweight.bytes() + 2 * dbias.bytes(),
                                         .sizes = {N, C_in, C_out}});
  switch (stream.device()) {
    case Device::cpu:
      cpu::linear_backward_weight(dy, x, dweight, dbias, panels);
      break;
    case Device::cuda:
      cuda::linear_backward_weight(stream.queue(), dy, x, dweight, dbias, workspace);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
