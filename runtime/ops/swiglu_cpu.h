// swiglu on the CPU, fp32 and bf16 storage. Operands were checked by swiglu.cpp.
#pragma once

#include "runtime/view.h"

namespace trireme::runtime::cpu {

void swiglu_forward(ConstView x, View y);
void swiglu_backward(ConstView x, ConstView dy, View dx);

}  // namespace trireme::runtime::cpu
