// What the records of a rank cost, and the watchdog's beats, in CPU time of one thread:
//   build/cpu-release/bin/flight_recorder_bench [--benchmark_repetitions=9]
// tick: an op or a message; call: a call's entering and leaving in the books; wait: beginning and end of one, timed;
// flops_of_step: what of a step's costs tells slow ranks apart;
// beat: what a rank is at, looked up and written as a line, a step further each time; hear, judge: of rank 0, for each
// rank of P. A step costs ticks x tick + calls x (call + wait), with the counts that layout_bench prints
// (recorder_ticks, recorder_calls): bench/results/watchdog.md.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/flight_json.h"
#include "runtime/flight_verdict.h"
#include "runtime/message_engine.h"

namespace trireme::runtime {
namespace {

std::shared_ptr<MessageGroup> make_group(int id, int size, const std::string& name) {
  std::vector<int> ranks(static_cast<size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return std::make_shared<MessageGroup>(id, 0, std::move(ranks), name, GroupUse::messages);
}

CommCall all_reduce(int64_t position) {
  return {.op = "all_reduce", .elements = 1 << 20, .dtype = DType::fp32, .position = position};
}

/// The flops of a step, asked for at its beginning and at its end: a rank is held against others by its time for them.
void flops_of_step(benchmark::State& state) {
  constexpr std::array kOps{"adamw",
                            "add",
                            "attention_forward",
                            "attention_backward",
                            "copy_from_host",
                            "embed",
                            "embed_b",
                            "fill",
                            "fill_positions",
                            "gelu_backward",
                            "layer_norm",
                            "layer_norm_b",
                            "linear_forward",
                            "linear_b_input",
                            "linear_b_weight",
                            "loss_partials",
                            "loss_combine",
                            "loss_gradient",
                            "read_scalars",
                            "sum_of_squares"};
  CostRecord costs;
  for (const char* op : kOps) costs.add({.op = op, .flops = 1, .bytes = 1});
  int64_t before = 0;
  for (auto _ : state) {
    before = costs.sum().flops - before;
    benchmark::DoNotOptimize(before);
    benchmark::DoNotOptimize(costs.sum().flops - before);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(flops_of_step);

/// In five groups, with four calls in flight in one.
struct Rank {
  explicit Rank(int size) {
    for (int id = 0; id < 5; ++id) {
      groups.push_back(make_group(id, size, "group" + std::to_string(id)));
      recorder.add_group(groups.back());
    }
    for (int64_t i = 0; i < CallLedger::kRecentCalls; ++i) {
      const int64_t sequence = groups[2]->ledger.enter(all_reduce(i), {});
      if (i < CallLedger::kRecentCalls - 4) groups[2]->ledger.leave(sequence);
    }
    recorder.set_phase(Phase::training);
  }
  /// As in a step of training.
  void step() {
    recorder.tick();
    CallLedger& ledger = groups[1]->ledger;
    ledger.leave(ledger.enter(all_reduce(calls++), {}));
  }

  FlightRecorder recorder;
  std::vector<std::shared_ptr<MessageGroup>> groups;
  int64_t calls = 0;
};

void tick(benchmark::State& state) {
  FlightRecorder recorder;
  for (auto _ : state) {
    recorder.tick();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(tick);

void call(benchmark::State& state) {
  Rank rank(8);
  CallLedger& ledger = rank.groups[0]->ledger;
  int64_t position = 0;
  for (auto _ : state) ledger.leave(ledger.enter(all_reduce(position++), {.messages = 2, .bytes = 100}));
}
BENCHMARK(call);

void wait(benchmark::State& state) {
  Rank rank(8);
  for (auto _ : state) {
    rank.recorder.wait_for(*rank.groups[0], all_reduce(7));
    rank.recorder.end_wait();
  }
}
BENCHMARK(wait);

void beat(benchmark::State& state) {
  Rank rank(static_cast<int>(state.range(0)));
  RankFlight told;
  for (auto _ : state) {
    rank.step();
    RankFlight now = rank.recorder.flight();
    benchmark::DoNotOptimize(flight_line(now, told));
    told = std::move(now);
  }
}
BENCHMARK(beat)->Arg(8)->Arg(1024);

void hear(benchmark::State& state) {
  Rank rank(static_cast<int>(state.range(0)));
  RankFlight heard = rank.recorder.flight();
  rank.step();
  const std::string line = flight_line(rank.recorder.flight(), heard);
  for (auto _ : state) read_flight_line(line, static_cast<int>(state.range(0)), heard);
}
BENCHMARK(hear)->Arg(8)->Arg(1024);

/// All of them, of whom all but one wait for that one.
void judge_all(benchmark::State& state) {
  const int P = static_cast<int>(state.range(0));
  Rank rank(P);
  rank.recorder.wait_for(*rank.groups[2], all_reduce(CallLedger::kRecentCalls - 1));
  std::vector<WatchedRank> ranks(static_cast<size_t>(P));
  for (WatchedRank& watched : ranks) watched.flight = rank.recorder.flight();
  ranks.back().flight.waits.reset();
  ranks.back().flight.groups[2].entered -= 1;
  for (auto _ : state) benchmark::DoNotOptimize(judge(ranks, 60));
  state.counters["s/rank"] =
      benchmark::Counter(P, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(judge_all)->Arg(8)->Arg(1024);

}  // namespace
}  // namespace trireme::runtime

BENCHMARK_MAIN();
