// Elementwise ops on the CPU; operands were checked by runtime/ops/elementwise.cpp. The layout of fill_normal's random
// numbers is told in elementwise_cpu.cpp.
#pragma once

#include "runtime/ops/elementwise.h"

namespace trireme::runtime::cpu {

void cast(ConstView x, View y);
void fill(View y, double value);
void add(ConstView a, ConstView b, View y);
void add_sum_of_squares(ConstView x, View total);
void fill_normal(const NormalSource& source, int64_t begin, View y);

}  // namespace trireme::runtime::cpu
