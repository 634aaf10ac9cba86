// Rotary position embedding on the CPU; operands were checked by runtime/ops/rope.cpp.
#pragma once

#include "runtime/ops/rope.h"

namespace trireme::runtime::cpu {

void fill_rope_table(double theta, View table);
void rope(const AttentionShape& shape, const Rope& args);

}  // namespace trireme::runtime::cpu
