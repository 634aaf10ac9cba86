#include "runtime/ops/positions.h"

#include <limits>
#include <string>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/positions_cpu.h"
#include "runtime/ops/positions_cuda.h"

namespace trireme::runtime {

void fill_positions(Stream& stream, int64_t first, int64_t T, View positions) {
  if (T < 1 || first < 0 || first > std::numeric_limits<int32_t>::max() - T) {
    throw Error(ErrorKind::internal, "fill_positions: first is " + std::to_string(first) + " and T is " +
                                         std::to_string(T) + ", expected first >= 0, T >= 1 and the sum in int32");
  }
  check_operand("fill_positions", "positions", positions, DType::i32, {positions.elements() / T * T});
  const OpScope scope = stream.dispatch({.op = "fill_positions", .flops = 0, .bytes = positions.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::fill_positions(first, T, positions);
      break;
    case Device::cuda:
      cuda::fill_positions(stream.queue(), first, T, positions);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
