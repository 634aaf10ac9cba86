// Layer normalisation on the CPU; operands were checked by runtime/ops/layer_norm.cpp.
#pragma once

#include "runtime/ops/layer_norm.h"

namespace trireme::runtime::cpu {

void layer_norm_forward(const LayerNormForward& args);
void layer_norm_backward(const LayerNormBackward& args);

}  // namespace trireme::runtime::cpu
