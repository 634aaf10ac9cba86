#include "runtime/ops/loss.h"

#include <memory>

#include "runtime/ops/elementwise.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

void loss_partials_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  Operands operands(storage);
  Stream stream(Device::cpu);
  const View logits = operands.make({N, state.range(1)});
  const View targets = operands.make({N}, DType::i32);
  const View partials = operands.make({N, 3}, DType::fp32);
  run(state, stream, [&] { loss_partials(stream, logits, targets, 0, partials); });
}

/// A group of one.
void loss_combine_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  Operands operands(storage);
  Stream stream(Device::cpu);
  const std::unique_ptr<Communicator> alone = solo_communicator();
  const View targets = operands.make({N}, DType::i32);
  const View partials = operands.make({N, 3}, DType::fp32);
  const View totals = operands.make({2}, DType::fp64);
  fill(stream, partials, 1);
  run(state, stream, [&] { loss_combine(stream, *alone, targets, partials, totals, operands.scratch()); });
}

void loss_gradient_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  Operands operands(storage);
  Stream stream(Device::cpu);
  const View logits = operands.make({N, state.range(1)});
  const View targets = operands.make({N}, DType::i32);
  const View partials = operands.make({N, 3}, DType::fp32);
  fill(stream, partials, 1);  // max 1 and sum 1: the repeated softmax stays in range
  run(state, stream, [&] { loss_gradient(stream, partials, targets, 0, logits); });
}

}  // namespace

void add_loss_benches() {
  const OpBenchSizes sizes{{"N", "V"}, {{512, 50257}, {1024, 65}}};  // a chunk of gpt2-124m, and characters
  add_benches("loss_partials", loss_partials_bench, sizes);
  add_benches("loss_gradient", loss_gradient_bench, sizes);
  add_bench("loss_combine", loss_combine_bench, DType::fp32, {{"N"}, {{512}}});
}

}  // namespace trireme::runtime
