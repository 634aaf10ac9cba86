// flop/s of the ops by their own stated cost (causal pairs counted once) per second of processor time, which other
// users of the machine disturb less than wall-clock time. Hold them against the FMA peak of a core: 202 Gflop/s with
// AVX-512 on an AMX-class Xeon, of which OpenBLAS reaches 130 to 140. Run with OMP_NUM_THREADS=1: with more, threads
// that wait count too.
#include <cstdint>

#include <benchmark/benchmark.h>

#include "runtime/ops/attention.h"
#include "runtime/ops/gelu.h"
#include "runtime/ops/linear.h"
#include "bench/runtime/op_operands.h"

namespace trireme::runtime {
namespace {

void linear_forward_bench(benchmark::State& state, Epilogue epilogue) {
  const int64_t N = state.range(0);
  const int64_t C_in = state.range(1);
  const int64_t C_out = state.range(2);
  Operands operands;
  Stream stream(Device::cpu);
  LinearForward args{.x = operands.make({N, C_in}),
                     .weight = operands.make({C_out, C_in}),
                     .epilogue = epilogue,
                     .y = operands.make({N, C_out})};
  if (epilogue != Epilogue::none) args.bias = operands.make({C_out});
  if (epilogue == Epilogue::bias_gelu) args.pre_activation = operands.make({N, C_out});
  for (auto _ : state) linear_forward(stream, args, operands.scratch());
  report(state, stream);
}

void linear_backward_input_bench(benchmark::State& state) {
  const int64_t N = state.range(0);
  const int64_t C_in = state.range(1);
  const int64_t C_out = state.range(2);
  Operands operands;
  Stream stream(Device::cpu);
  const View dy = operands.make({N, C_out});
  const View weight = operands.make({C_out, C_in});
  const View dx = operands.make({N, C_in});
  for (auto _ : state) linear_backward_input(stream, dy, weight, dx, operands.scratch());
  report(state, stream);
}

void linear_backward_weight_bench(benchmark::State& state, bool has_bias) {
  const int64_t N = state.range(0);
  const int64_t C_in = state.range(1);
  const int64_t C_out = state.range(2);
  Operands operands;
  Stream stream(Device::cpu);
  const View dy = operands.make({N, C_out});
  const View x = operands.make({N, C_in});
  const View dweight = operands.make({C_out, C_in});
  const View dbias = has_bias ? operands.make({C_out}) : View();
  for (auto _ : state) linear_backward_weight(stream, dy, x, dweight, dbias, operands.scratch());
  report(state, stream);
}

void gelu_bench(benchmark::State& state, bool backward) {
  Operands operands;
  Stream stream(Device::cpu);
  const View x = operands.make({state.range(0)});
  const View dy = operands.make({state.range(0)});
  const View out = operands.make({state.range(0)});
  for (auto _ : state) {
    if (backward) {
      gelu_backward(stream, x, dy, out);
    } else {
      gelu_forward(stream, x, out);
    }
  }
  report(state, stream);
  state.counters["elements/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)), benchmark::Counter::kIsRate);
}

struct AttentionOperands {
  AttentionShape shape;
  View qkv;
  View y;
  View log_sum_exp;
  View dy;
  View dqkv;

  AttentionOperands(const benchmark::State& state, Operands& operands)
      : shape{state.range(0), state.range(1), state.range(2), state.range(3), state.range(4)} {
    const auto [B, T, H, K, D] = shape;
    qkv = operands.make({B * T, (H + 2 * K) * D});
    y = operands.make({B * T, H * D});
    log_sum_exp = operands.make({B, H, T});
    dy = operands.make({B * T, H * D});
    dqkv = operands.make({B * T, (H + 2 * K) * D});
  }
};

void attention_forward_bench(benchmark::State& state) {
  Operands operands;
  Stream stream(Device::cpu);
  const AttentionOperands o(state, operands);
  for (auto _ : state) attention_forward(stream, o.shape, o.qkv, o.y, o.log_sum_exp, operands.scratch());
  report(state, stream);
}

void attention_backward_bench(benchmark::State& state) {
  Operands operands;
  Stream stream(Device::cpu);
  const AttentionOperands o(state, operands);
  attention_forward(stream, o.shape, o.qkv, o.y, o.log_sum_exp, operands.scratch());
  stream.clear_costs();
  for (auto _ : state) {
    attention_backward(stream, o.shape, {o.qkv, o.y, o.log_sum_exp, o.dy, o.dqkv}, operands.scratch());
  }
  report(state, stream);
}

void cached_attention_bench(benchmark::State& state) {
  Operands operands;
  Stream stream(Device::cpu);
  const AttentionOperands o(state, operands);
  const int64_t past = state.range(5);
  const View keys = operands.make({o.shape.B, past + o.shape.T, o.shape.K, o.shape.D});
  const View values = operands.make({o.shape.B, past + o.shape.T, o.shape.K, o.shape.D});
  for (auto _ : state) {
    cached_attention(stream, o.shape, {o.qkv, keys, values, past, o.y}, operands.scratch());
  }
  report(state, stream);
}

// The products of a GPT-2 124M layer at 1,024 tokens, of a small model, and of decoding.
void linear_sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"N", "C_in", "C_out"})->MeasureProcessCPUTime();
  bench->Args({1024, 768, 2304})->Args({1024, 768, 3072})->Args({1024, 3072, 768});
  bench->Args({768, 128, 512})->Args({1, 768, 3072})->Args({1, 3072, 768})->Args({4, 768, 3072});
}
void attention_sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "T", "H", "K", "D"})->MeasureProcessCPUTime();
  bench->Args({4, 256, 12, 12, 64})->Args({1, 1024, 12, 12, 64})->Args({12, 64, 4, 4, 32});
  bench->Args({1, 1024, 8, 2, 128})->Args({1, 1000, 5, 5, 40});
}

BENCHMARK_CAPTURE(linear_forward_bench, none, Epilogue::none)->Apply(linear_sizes);
BENCHMARK_CAPTURE(linear_forward_bench, bias, Epilogue::bias)->Apply(linear_sizes);
BENCHMARK_CAPTURE(linear_forward_bench, bias_gelu, Epilogue::bias_gelu)->Apply(linear_sizes);
BENCHMARK(linear_backward_input_bench)->Apply(linear_sizes);
BENCHMARK_CAPTURE(linear_backward_weight_bench, plain, false)->Apply(linear_sizes);
BENCHMARK_CAPTURE(linear_backward_weight_bench, bias, true)->Apply(linear_sizes);
BENCHMARK_CAPTURE(gelu_bench, forward, false)->Arg(1 << 14)->Arg(3 << 20)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(gelu_bench, backward, true)->Arg(1 << 14)->Arg(3 << 20)->MeasureProcessCPUTime();
BENCHMARK(attention_forward_bench)->Apply(attention_sizes);
BENCHMARK(attention_backward_bench)->Apply(attention_sizes);
BENCHMARK(cached_attention_bench)
    ->ArgNames({"B", "T", "H", "K", "D", "past"})
    ->Args({1, 1, 12, 12, 64, 1000})
    ->Args({1, 3, 12, 12, 64, 1000})
    ->Args({1, 4, 12, 12, 64, 1000})
    ->Args({1, 64, 12, 12, 64, 1000})
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace trireme::runtime
