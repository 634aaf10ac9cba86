// Exact sums on the CPU; operands were checked by runtime/ops/exact_sum.cpp.
#pragma once

#include "runtime/ops/exact_sum.h"

namespace trireme::runtime::cpu {

void clear_exact_sum(View sum);
void add_exactly(ConstView x, View sum);
void add_squares_exactly(ConstView x, View sum);
void round_exact_sum(ConstView sum, View value);

}  // namespace trireme::runtime::cpu
