// CPU kernel of positions.h: the caller has checked shapes and dtypes.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace trireme::runtime::cpu {

void fill_positions(int64_t first, int64_t T, View positions);

}  // namespace trireme::runtime::cpu
