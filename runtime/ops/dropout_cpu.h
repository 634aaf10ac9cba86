// Dropout on the CPU; operands were checked by runtime/ops/dropout.cpp.
#pragma once

#include "runtime/ops/dropout.h"

namespace trireme::runtime::cpu {

void dropout(const DropoutSite& site, const DropoutRows& rows, ConstView x, View y);

}  // namespace trireme::runtime::cpu
