#include "runtime/ops/layer_norm.h"
#include "runtime/ops/rms_norm.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

void layer_norm_forward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const LayerNormForward args{.residual = operands.make({N, C}),
                                .branch = operands.make({N, C}),
                                .weight = operands.make({C}),
                                .bias = operands.make({C}),
                                .sum = operands.make({N, C}),
                                .y = operands.make({N, C}),
                                .mean = operands.make({N}, DType::fp32),
                                .rstd = operands.make({N}, DType::fp32)};
    return [=, &stream] { layer_norm_forward(stream, args); };
  });
}

void layer_norm_backward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const LayerNormBackward args{.dy = operands.make({N, C}),
                                 .sum = operands.make({N, C}),
                                 .weight = operands.make({C}),
                                 .mean = operands.make({N}, DType::fp32),
                                 .rstd = operands.make({N}, DType::fp32),
                                 .dresidual = operands.make({N, C}),
                                 .dx = operands.make({N, C}),
                                 .dweight = operands.make({C}, DType::fp32),
                                 .dbias = operands.make({C}, DType::fp32)};
    return [=, &stream] { layer_norm_backward(stream, args, Operands::scratch()); };
  });
}

void rms_norm_forward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const RmsNormForward args{.residual = operands.make({N, C}),
                              .branch = operands.make({N, C}),
                              .weight = operands.make({C}),
                              .sum = operands.make({N, C}),
                              .y = operands.make({N, C}),
                              .rstd = operands.make({N}, DType::fp32)};
    return [=, &stream] { rms_norm_forward(stream, args); };
  });
}

void rms_norm_backward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const RmsNormBackward args{.dy = operands.make({N, C}),
                               .sum = operands.make({N, C}),
                               .weight = operands.make({C}),
                               .rstd = operands.make({N}, DType::fp32),
                               .dresidual = operands.make({N, C}),
                               .dx = operands.make({N, C}),
                               .dweight = operands.make({C}, DType::fp32)};
    return [=, &stream] { rms_norm_backward(stream, args, Operands::scratch()); };
  });
}

}  // namespace

void add_norm_benches() {
  // gpt2-124m and llama-1b: in the caches, and out of most of them.
  const OpBenchSizes gpt2{{"N", "C"}, {{1024, 768}, {16384, 768}}, {{16384, 768}, {65536, 768}, {8192, 1600}}};
  const OpBenchSizes llama{{"N", "C"}, {{1024, 2048}, {8192, 2048}}, {{8192, 2048}, {8192, 4096}, {8192, 8192}}};
  add_benches("layer_norm_forward", layer_norm_forward_bench, gpt2);
  add_benches("layer_norm_backward", layer_norm_backward_bench, gpt2);
  add_benches("rms_norm_forward", rms_norm_forward_bench, llama);
  add_benches("rms_norm_backward", rms_norm_backward_bench, llama);
}

}  // namespace trireme::runtime
