#include "runtime/ops/swiglu.h"

#include "runtime/ops/check.h"
#include "runtime/ops/swiglu_cpu.h"
#include "runtime/ops/swiglu_cuda.h"

namespace trireme::runtime {

void swiglu_forward(Stream& stream, ConstView x, View y) {
  constexpr std::string_view kOp = "swiglu_forward";
  const DType storage = storage_of(kOp, "x", x);
  check_rank(kOp, "y", y, 2);
  const int64_t N = y.shape[0];
  const int64_t F = y.shape[1];
  check_operand(kOp, "y", y, storage, {N, F});
  check_operand(kOp, "x", x, storage, {N, 2 * F});
  const OpScope scope =
      stream.dispatch({.op = kOp, .flops = kSwigluForwardFlops * N * F, .bytes = x.bytes() + y.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::swiglu_forward(x, y);
      break;
    case Device::cuda:
      cuda::swiglu_forward(stream.queue(), x, y);
      break;
    case Device::dry:
      break;
  }
}

void swiglu_backward(Stream& stream, ConstView x, ConstView dy, View dx) {
  constexpr std::string_view kOp = "swiglu_backward";
  const DType storage = storage_of(kOp, "x", x);
  check_rank(kOp, "dy", dy, 2);
  const int64_t N = dy.shape[0];
  const int64_t F = dy.shape[1];
  check_operand(kOp, "dy", dy, storage, {N, F});
  check_operand(kOp, "x", x, storage, {N, 2 * F});
  check_operand(kOp, "dx", dx, storage, {N, 2 * F});
  const OpScope scope =
      stream.dispatch({.op = kOp, .flops = kSwigluBackwardFlops * N * F, .bytes = 2 * x.bytes() + dy.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::swiglu_backward(x, dy, dx);
      break;
    case Device::cuda:
      cuda::swiglu_backward(stream.queue(), x, dy, dx);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
