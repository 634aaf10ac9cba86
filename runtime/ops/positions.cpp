#include "runtime/ops/positions.h"

#include "runtime/ops/check.h"

namespace trireme::runtime {
namespace {

void fill_positions_cpu(int64_t first, int64_t T, View positions) {
  int32_t* out = positions.as<int32_t>();
  for (int64_t i = 0; i < positions.elements(); ++i) out[i] = static_cast<int32_t>(first + i % T);
}

}  // namespace

void fill_positions(Stream& stream, int64_t first, int64_t T, View positions) {
  check_operand("fill_positions", "positions", positions, DType::i32, {positions.elements() / T * T});
  stream.dispatch({.op = "fill_positions", .flops = 0, .bytes = positions.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      fill_positions_cpu(first, T, positions);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
