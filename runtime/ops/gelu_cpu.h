// gelu on the CPU, fp32 and bf16 storage. Operands were checked by gelu.cpp.
#pragma once

#include "runtime/view.h"

namespace trireme::runtime::cpu {

void gelu_forward(ConstView x, View y);
void gelu_backward(ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime::cpu
