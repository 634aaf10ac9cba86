// AdamW on the CPU; operands were checked by runtime/ops/adamw.cpp.
#pragma once

#include "runtime/ops/adamw.h"

namespace trireme::runtime::cpu {

void update_scale(double clip_grad_norm, ConstView totals, ConstView limits, View scale);
void adamw_update(const AdamWConstants& constants, const AdamWViews& views);

}  // namespace trireme::runtime::cpu
