// What the benches of ops share: operands in one arena, the device's peaks, and the rates of a stream's stated costs
// beside them. A bench is a function of a state and a storage that makes operands and says what is called on them;
// ops_bench.cpp runs those that the add functions register, on the CPU or on the GPU.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "runtime/arena.h"
#include "runtime/stream.h"

namespace trireme::runtime {

/// To be called once, before all else.
void bench_on(Device device);
Device bench_device();

/// Best rates of this device, measured once, before the first bench: of the CPU with the threads that the ops use.
struct Peaks {
  double flops = 0;       ///< flop/s of fp32 storage: multiply-adds on registers; GPU: the 4096^3 product
  double bf16_flops = 0;  ///< the same on the CPU, which computes in fp32; GPU: the 8192^3 product of bf16
  double bytes = 0;       ///< bytes/s, far beyond the caches
};
const Peaks& peaks();

/// Memory for one bench; the next one takes the same again. On the GPU a bench has several sets of operands, made one
/// after the other by the same function.
class Operands {
 public:
  Operands(DType storage, Stream& stream) : stream_(stream), storage_(storage) {}

  /// Of the bench's storage, with values of the size activations have; on the GPU random ones.
  View make(const Shape& shape) { return make(shape, storage_); }
  /// Other dtypes than fp32 and bf16 are zeros.
  View make(const Shape& shape, DType dtype);
  /// (N) i32 in [0, end), each a prime apart from the last; two of `N` may be the same.
  View make_ids(int64_t N, int64_t end);
  static Arena& scratch();

  Stream& stream() { return stream_; }

 private:
  Stream& stream_;
  DType storage_;
};

using Call = std::function<void()>;
/// Makes one set of operands and returns the call on them.
using Prepare = std::function<Call(Operands&)>;

/// Repeats the prepared call and reports what it stated by time: flop/s of ops that compute, bytes/s, and of_peak =
/// max(flops / peak flop/s, bytes / peak bytes/s) / time. On the CPU by wall time, on one set of operands; of_peak
/// above 1: they stay in the caches. On the GPU by its own clock over many queued calls, which go round sets of
/// operands that are together beyond its L2 by far.
void run(benchmark::State& state, DType storage, const Prepare& prepare);

using OpBench = void (*)(benchmark::State& state, DType storage);
struct OpBenchSizes {
  std::vector<std::string> names;
  std::vector<std::vector<int64_t>> cpu;
  std::vector<std::vector<int64_t>> cuda{};  ///< on the GPU, instead
};

/// "name/fp32/..." and "name/bf16/..." for each sizes; on the GPU fp32 for the first only.
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
