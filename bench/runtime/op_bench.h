// What the benches of ops share: operands in one arena, the machine's peaks, and the rates of a stream's stated costs
// beside them. A bench is a function of a state and a storage; ops_bench.cpp runs those that the add functions register.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "runtime/arena.h"
#include "runtime/stopwatch.h"
#include "runtime/stream.h"

namespace trireme::runtime {

/// Best rates of this machine with the threads that the ops use, measured once, before the first bench.
struct Peaks {
  double flops = 0;  ///< flop/s, fp32 multiply-adds on registers
  double bytes = 0;  ///< bytes/s, far beyond the caches
};
const Peaks& peaks();

/// Memory for one bench; the next one takes the same again.
class Operands {
 public:
  explicit Operands(DType storage);

  /// Of the bench's storage, with values of the size activations have.
  View make(const Shape& shape) { return make(shape, storage_); }
  /// Other dtypes than fp32 and bf16 are zeros.
  View make(const Shape& shape, DType dtype);
  Arena& scratch();

 private:
  DType storage_;
};

/// What took `seconds` altogether.
void report(benchmark::State& state, const CostRecord::Total& total, double seconds);

/// Repeats `call` and reports what it stated on `stream` by wall time: flop/s of ops that compute, bytes/s, and of_peak
/// = max(flops / peak flop/s, bytes / peak bytes/s) / time. Above 1: operands that stay in the caches.
template <typename Call>
void run(benchmark::State& state, Stream& stream, Call&& call) {
  stream.clear_costs();
  const Stopwatch watch;
  for (auto _ : state) call();
  report(state, stream.costs().sum(), watch.seconds());
}

using OpBench = void (*)(benchmark::State& state, DType storage);
struct OpBenchSizes {
  std::vector<std::string> names;
  std::vector<std::vector<int64_t>> values;
};

/// "name/fp32/..." and "name/bf16/..." for each sizes.
void add_benches(std::string_view name, OpBench bench, const OpBenchSizes& sizes);
/// For ops that know one storage only.
void add_bench(std::string_view name, OpBench bench, DType storage, const OpBenchSizes& sizes);

void add_linear_benches();
void add_attention_benches();
void add_norm_benches();
void add_activation_benches();
void add_loss_benches();
void add_embedding_benches();
void add_elementwise_benches();
void add_adamw_benches();

}  // namespace trireme::runtime
