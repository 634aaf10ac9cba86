// Root mean square normalisation on the CPU; operands were checked by runtime/ops/rms_norm.cpp.
#pragma once

#include "runtime/ops/rms_norm.h"

namespace trireme::runtime::cpu {

void rms_norm_forward(const RmsNormForward& args);
void rms_norm_backward(const RmsNormBackward& args);

}  // namespace trireme::runtime::cpu
