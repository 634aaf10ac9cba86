// AdamW on the CPU; operands were checked by runtime/ops/adamw.cpp.
#pragma once

#include "runtime/ops/adamw.h"

namespace trireme::runtime::cpu {

void adamw_update(const AdamWStep& step, const AdamWViews& views);

}  // namespace trireme::runtime::cpu
