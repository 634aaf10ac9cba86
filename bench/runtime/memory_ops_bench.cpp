// bytes/s of the ops that memory bounds, by their own stated cost (each operand read or written once) per second of
// processor time. Hold them against one core of an AMX-class Xeon (2 virtual cores): 14 GB/s of reads, 17 GB/s of an
// Adam update from memory. Run with OMP_NUM_THREADS=1: with more, threads that wait count too.
#include <cstdint>

#include <benchmark/benchmark.h>

#include "runtime/ops/adamw.h"
#include "runtime/ops/dropout.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/layer_norm.h"
#include "runtime/ops/loss.h"
#include "bench/runtime/op_operands.h"

namespace trireme::runtime {
namespace {

constexpr int64_t kOperandBytes = int64_t{1} << 30;

void layer_norm_forward_bench(benchmark::State& state) {
  const int64_t N = state.range(0);
  const int64_t C = state.range(1);
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const LayerNormForward args{.residual = operands.make({N, C}),
                              .branch = operands.make({N, C}),
                              .weight = operands.make({C}),
                              .bias = operands.make({C}),
                              .sum = operands.make({N, C}),
                              .y = operands.make({N, C}),
                              .mean = operands.make({N}),
                              .rstd = operands.make({N})};
  for (auto _ : state) layer_norm_forward(stream, args);
  report(state, stream);
}

void layer_norm_backward_bench(benchmark::State& state) {
  const int64_t N = state.range(0);
  const int64_t C = state.range(1);
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const LayerNormBackward args{.dy = operands.make({N, C}),
                               .sum = operands.make({N, C}),
                               .weight = operands.make({C}),
                               .mean = operands.make({N}),
                               .rstd = operands.make({N}),
                               .dresidual = operands.make({N, C}),
                               .dx = operands.make({N, C}),
                               .dweight = operands.make({C}),
                               .dbias = operands.make({C})};
  for (auto _ : state) layer_norm_backward(stream, args);
  report(state, stream);
}

void loss_partials_bench(benchmark::State& state) {
  const int64_t N = state.range(0);
  const int64_t V = state.range(1);
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const View logits = operands.make({N, V});
  const View targets = operands.make({N}, DType::i32);
  const View partials = operands.make({N, 3});
  for (auto _ : state) loss_partials(stream, logits, targets, 0, partials);
  report(state, stream);
}

void loss_gradient_bench(benchmark::State& state) {
  const int64_t N = state.range(0);
  const int64_t V = state.range(1);
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const View logits = operands.make({N, V});
  const View targets = operands.make({N}, DType::i32);
  const View partials = operands.make({N, 3});
  fill(stream, partials, 1);  // max 1 and sum 1: the repeated softmax stays in range
  stream.clear_costs();
  for (auto _ : state) loss_gradient(stream, partials, targets, 0, logits);
  report(state, stream);
}

void adamw_bench(benchmark::State& state) {
  const int64_t n = state.range(0);
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const AdamWViews views{.parameter = operands.make({n}),
                         .gradient = operands.make({n}),
                         .m = operands.make({n}),
                         .v = operands.make({n})};
  fill(stream, views.v, 1);
  stream.clear_costs();
  for (auto _ : state) adamw_update(stream, {.learning_rate = 1e-3f, .update = 1000}, views);
  report(state, stream);
}

void sum_of_squares_bench(benchmark::State& state) {
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const View x = operands.make({state.range(0)});
  const View total = operands.make({1}, DType::fp64);
  for (auto _ : state) add_sum_of_squares(stream, x, total);
  report(state, stream);
}

void fill_normal_bench(benchmark::State& state) {
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const View y = operands.make({state.range(0)});
  for (auto _ : state) fill_normal(stream, {.seed = 1}, 0, y);
  report(state, stream);
}

void dropout_bench(benchmark::State& state) {
  Operands operands(kOperandBytes);
  Stream stream(Device::cpu);
  const View x = operands.make({4, state.range(0), state.range(1)});
  const View samples = operands.make({4}, DType::i64);
  for (auto _ : state) dropout(stream, {.probability = 0.1f}, samples, x, x);
  report(state, stream);
}

// Shapes of gpt2-124m at 4 x 256 tokens; the loss in chunks of 256 tokens (51 MB of logits, more than the caches).
BENCHMARK(layer_norm_forward_bench)->Args({1024, 768})->Args({16384, 768});
BENCHMARK(layer_norm_backward_bench)->Args({1024, 768})->Args({16384, 768});
BENCHMARK(loss_partials_bench)->Args({256, 50257});
BENCHMARK(loss_gradient_bench)->Args({256, 50257});
BENCHMARK(adamw_bench)->Arg(1 << 24);
BENCHMARK(sum_of_squares_bench)->Arg(1 << 24);
BENCHMARK(fill_normal_bench)->Arg(1 << 20);
BENCHMARK(dropout_bench)->Args({256, 768});

}  // namespace
}  // namespace trireme::runtime
