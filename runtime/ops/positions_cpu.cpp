#include "runtime/ops/positions_cpu.h"

namespace trireme::runtime::cpu {

void fill_positions(int64_t first, int64_t T, View positions) {
  int32_t* out = positions.as<int32_t>();
  for (int64_t i = 0; i < positions.elements(); ++i) out[i] = static_cast<int32_t>(first + i % T);
}

}  // namespace trireme::runtime::cpu
