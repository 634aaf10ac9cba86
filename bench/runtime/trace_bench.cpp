// What a record of a trace costs, in CPU time of one thread:
//   build/cpu-release/bin/trace_bench [--benchmark_repetitions=9]
// dispatch: an op that computes nothing, and is not recorded; traced_dispatch: the same with its record, two looks at
// the clock among them; call: a call's beginning and end; wait, span: one of each. A step costs
// ops x (traced_dispatch - dispatch) + calls x call + waits x wait + spans x span, with the counts of a trace file:
// bench/results/trace.md.
#include <benchmark/benchmark.h>

#include "runtime/stopwatch.h"
#include "runtime/stream.h"
#include "runtime/trace.h"

namespace trireme::runtime {
namespace {

constexpr int64_t kRoom = int64_t{1} << 16;

/// Anew once it is full: what is left out would cost less.
class Refilled {
 public:
  Trace& trace() { return trace_; }
  void next(benchmark::State& state) {
    if (++events_ % kRoom != 0) return;
    state.PauseTiming();
    trace_ = Trace({.ops = kRoom, .calls = kRoom, .spans = kRoom});
    state.ResumeTiming();
  }

 private:
  Trace trace_{{.ops = kRoom, .calls = kRoom, .spans = kRoom}};
  int64_t events_ = 0;
};

OpCost product() {
  return {.op = "linear_forward", .flops = 1000, .bytes = 100, .sizes = {1024, 768, 2304}};
}

void dispatch(benchmark::State& state) {
  Stream stream(Device::cpu);
  for (auto _ : state) {
    const OpScope scope = stream.dispatch(product());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(dispatch);

void traced_dispatch(benchmark::State& state) {
  Stream stream(Device::cpu);
  Refilled refilled;
  stream.trace_into(&refilled.trace());
  for (auto _ : state) {
    {
      const OpScope scope = stream.dispatch(product());
      benchmark::ClobberMemory();
    }
    refilled.next(state);
  }
}
BENCHMARK(traced_dispatch);

void call(benchmark::State& state) {
  Refilled refilled;
  const CommCall all_reduce{.op = "all_reduce", .elements = 1 << 20, .dtype = DType::fp32};
  for (auto _ : state) {
    refilled.trace().leave(refilled.trace().enter(all_reduce, 1, 100));
    refilled.next(state);
  }
}
BENCHMARK(call);

/// Its two looks at the clock are the flight recorder's, with or without a trace.
void wait(benchmark::State& state) {
  Refilled refilled;
  for (auto _ : state) {
    refilled.trace().add_wait({.begin = 1, .end = 2, .op = "all_reduce", .group = 1});
    refilled.next(state);
  }
}
BENCHMARK(wait);

void span(benchmark::State& state) {
  Refilled refilled;
  for (auto _ : state) {
    { const TraceSpan span(&refilled.trace(), "forward", 1, 0); }
    refilled.next(state);
  }
}
BENCHMARK(span);

}  // namespace
}  // namespace trireme::runtime

BENCHMARK_MAIN();
