// linear on the CPU, fp32: OpenBLAS for the products, loops of ours for the rest. Operands were checked by linear.cpp.
#pragma once

#include "runtime/ops/linear.h"

namespace trireme::runtime::cpu {

void linear_forward(const LinearForward& args);
void linear_backward_input(ConstView dy, ConstView weight, View dx);
void linear_backward_weight(ConstView dy, ConstView x, View dweight, View dbias);

}  // namespace trireme::runtime::cpu
