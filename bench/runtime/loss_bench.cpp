#include "runtime/ops/loss.h"

#include "runtime/ops/elementwise.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

void loss_partials_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t V = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View logits = operands.make({N, V});
    const View targets = operands.make_ids(N, V);
    const View partials = operands.make({N, 3}, DType::fp32);
    return [=, &stream] { loss_partials(stream, logits, targets, 0, partials); };
  });
}

/// A group of one.
void loss_combine_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    static Communicator& alone = *solo_communicator().release();
    const View targets = operands.make({N}, DType::i32);
    const View partials = operands.make({N, 3}, DType::fp32);
    const View totals = operands.make({2}, DType::fp64);
    fill(stream, partials, 1);
    return [=, &stream] { loss_combine(stream, alone, targets, partials, totals, Operands::scratch()); };
  });
}

void loss_gradient_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t V = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View logits = operands.make({N, V});
    const View targets = operands.make_ids(N, V);
    const View partials = operands.make({N, 3}, DType::fp32);
    fill(stream, partials, 1);  // max 1 and sum 1: the repeated softmax stays in range
    return [=, &stream] { loss_gradient(stream, partials, targets, 0, logits); };
  });
}

}  // namespace

void add_loss_benches() {
  // A chunk of gpt2-124m, and characters; on the GPU chunks of GPT-2 and of Llama, whose
  // vocabulary tables are padded to multiples of 64 there.
  const OpBenchSizes sizes{{"N", "V"}, {{512, 50257}, {1024, 65}}, {{8192, 50304}, {4096, 128256}}};
  add_benches("loss_partials", loss_partials_bench, sizes);
  add_benches("loss_gradient", loss_gradient_bench, sizes);
  add_bench("loss_combine", loss_combine_bench, DType::fp32, {{"N"}, {{512}}, {{16384}}});
}

}  // namespace trireme::runtime
