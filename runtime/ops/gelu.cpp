#include "runtime/ops/gelu.h"

#include "runtime/ops/check.h"
#include "runtime/ops/gelu_cpu.h"
#include "runtime/ops/gelu_cuda.h"

namespace trireme::runtime {

void gelu_forward(Stream& stream, ConstView x, View y) {
  constexpr std::string_view kOp = "gelu_forward";
  check_operand(kOp, "y", y, storage_of(kOp, "x", x), x.shape);
  const OpScope scope =
      stream.dispatch({.op = kOp, .flops = kGeluForwardFlops * x.elements(), .bytes = x.bytes() + y.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::gelu_forward(x, y);
      break;
    case Device::cuda:
      cuda::gelu_forward(stream.queue(), x, y);
      break;
    case Device::dry:
      break;
  }
}

void gelu_backward(Stream& stream, ConstView x, ConstView dy, View dx) {
  constexpr std::string_view kOp = "gelu_backward";
  const DType storage = storage_of(kOp, "x", x);
  check_operand(kOp, "dy", dy, storage, x.shape);
  check_operand(kOp, "dx", dx, storage, x.shape);
  const OpScope scope = stream.dispatch(
      {.op = kOp, .flops = kGeluBackwardFlops * x.elements(), .bytes = x.bytes() + dy.bytes() + dx.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::gelu_backward(x, dy, dx);
      break;
    case Device::cuda:
      cuda::gelu_backward(stream.queue(), x, dy, dx);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
