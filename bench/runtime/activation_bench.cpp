#include "runtime/ops/dropout.h"
#include "runtime/ops/gelu.h"
#include "runtime/ops/swiglu.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

void gelu_forward_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({state.range(0)});
    const View y = operands.make({state.range(0)});
    return [=, &stream] { gelu_forward(stream, x, y); };
  });
}

void gelu_backward_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({state.range(0)});
    const View dy = operands.make({state.range(0)});
    const View dx = operands.make({state.range(0)});
    return [=, &stream] { gelu_backward(stream, x, dy, dx); };
  });
}

void swiglu_forward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t F = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({N, 2 * F});
    const View y = operands.make({N, F});
    return [=, &stream] { swiglu_forward(stream, x, y); };
  });
}

void swiglu_backward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t F = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({N, 2 * F});
    const View dy = operands.make({N, F});
    const View dx = operands.make({N, 2 * F});
    return [=, &stream] { swiglu_backward(stream, x, dy, dx); };
  });
}

/// Backward is the same function.
void dropout_bench(benchmark::State& state, DType storage) {
  const int64_t B = state.range(0);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const int64_t T = state.range(1);
    const View x = operands.make({B * T, state.range(2)});
    const View y = operands.make({B * T, state.range(2)});
    const DropoutRows rows{.samples = operands.make({B}, DType::i64), .T = T};
    return [=, &stream] { dropout(stream, {.probability = 0.1f}, rows, x, y); };
  });
}

}  // namespace

void add_activation_benches() {
  // In a core's cache; 1,024 tokens of gpt2-124m and of llama-1b; far more. GPU: 16,384 tokens of gpt2-124m, 8,192 of
  // llama-1b and llama-8b.
  const OpBenchSizes flat{{"n"}, {{1 << 14}, {3 << 20}, {24 << 20}}, {{48 << 20}}};
  const OpBenchSizes gated{{"N", "F"}, {{1024, 3072}, {1024, 8192}}, {{8192, 8192}, {8192, 14336}}};
  add_benches("gelu_forward", gelu_forward_bench, flat);
  add_benches("gelu_backward", gelu_backward_bench, flat);
  add_benches("swiglu_forward", swiglu_forward_bench, gated);
  add_benches("swiglu_backward", swiglu_backward_bench, gated);
  add_benches("dropout", dropout_bench, {{"B", "T", "C"}, {{4, 256, 768}, {16, 1024, 768}}, {{16, 1024, 768}}});
}

}  // namespace trireme::runtime
