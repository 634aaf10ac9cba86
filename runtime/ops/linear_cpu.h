// linear on the CPU: OpenBLAS for the products, loops of ours for the rest. Operands were checked by linear.cpp; panels
// are absent for fp32 storage and for a few rows forward.
#pragma once

#include "runtime/ops/linear.h"
#include "runtime/ops/linear_bf16_cpu.h"

namespace trireme::runtime::cpu {

/// Forward products of so few rows read the weights as they lie, without scratch.
inline constexpr int64_t kFewRows = 8;

void linear_forward(const LinearForward& args, const ProductPanels& panels);
void linear_backward_input(ConstView dy, ConstView weight, View dx, const ProductPanels& panels);
void linear_backward_weight(ConstView dy, ConstView x, View dweight, View dbias, const ProductPanels& panels);

}  // namespace trireme::runtime::cpu
