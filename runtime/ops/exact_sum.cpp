#include "runtime/ops/exact_sum.h"

#include <string>
#include <string_view>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/exact_sum_cpu.h"

namespace trireme::runtime {
namespace {

constexpr int64_t kSumBytes = 8 * kExactSumWords;

void check_sum(std::string_view op, const ConstView& sum) {
  check_operand(op, "sum", sum, DType::i64, {kExactSumWords});
}

/// Runs `compute` on the CPU and nothing dry.
template <typename Compute>
void run(Stream& stream, const OpCost& cost, Compute&& compute) {
  const OpScope scope = stream.dispatch(cost);
  switch (stream.device()) {
    case Device::cpu:
      compute();
      break;
    case Device::cuda:
      throw Error(ErrorKind::device, std::string(cost.op) + ": exact sums are taken on the CPU only so far");
    case Device::dry:
      break;
  }
}

}  // namespace

void clear_exact_sum(Stream& stream, View sum) {
  check_sum("clear_exact_sum", sum);
  run(stream, {.op = "clear_exact_sum", .flops = 0, .bytes = kSumBytes}, [&] { cpu::clear_exact_sum(sum); });
}

void add_exactly(Stream& stream, ConstView x, View sum) {
  check_operand("add_exactly", "x", x, DType::fp64, {x.elements()});
  check_sum("add_exactly", sum);
  const int64_t n = x.elements();
  run(stream, {.op = "add_exactly", .flops = 3 * n, .bytes = 8 * n + 2 * kSumBytes}, [&] { cpu::add_exactly(x, sum); });
}

void add_squares_exactly(Stream& stream, ConstView x, View sum) {
  check_operand("add_squares_exactly", "x", x, DType::fp32, {x.elements()});
  check_sum("add_squares_exactly", sum);
  const int64_t n = x.elements();
  run(stream, {.op = "add_squares_exactly", .flops = 2 * n, .bytes = 4 * n + 2 * kSumBytes},
      [&] { cpu::add_squares_exactly(x, sum); });
}

void round_exact_sum(Stream& stream, ConstView sum, View value) {
  check_sum("round_exact_sum", sum);
  check_operand("round_exact_sum", "value", value, DType::fp64, {1});
  run(stream, {.op = "round_exact_sum", .flops = 0, .bytes = kSumBytes + 8}, [&] { cpu::round_exact_sum(sum, value); });
}

}  // namespace trireme::runtime
