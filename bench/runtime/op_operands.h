// What the benches of ops share: operands in one arena, and the rates of a stream's stated costs.
#pragma once

#include <cmath>
#include <cstdint>

#include <benchmark/benchmark.h>

#include "runtime/arena.h"
#include "runtime/stream.h"

namespace trireme::runtime {

/// Memory for one benchmark, with values of the size activations have.
class Operands {
 public:
  explicit Operands(int64_t bytes = int64_t{1} << 28) : arena_(Arena::host("bench", bytes)) {}

  /// Other dtypes than fp32 are zeros.
  View make(const Shape& shape, DType dtype = DType::fp32) {
    const View view = arena_.allocate(dtype, shape);
    if (dtype != DType::fp32) return view;
    float* values = view.as<float>();
    for (int64_t i = 0; i < view.elements(); ++i) values[i] = std::sin(static_cast<float>(i % 10007));
    return view;
  }
  Arena& scratch() { return scratch_; }

 private:
  Arena arena_;
  Arena scratch_ = Arena::host("scratch", int64_t{1} << 26);
};

/// bytes/s, and flop/s of ops that compute, by the cost that the ops state.
inline void report(benchmark::State& state, const Stream& stream) {
  const CostRecord::Total total = stream.costs().sum();
  if (total.flops > 0) {
    state.counters["flop/s"] = benchmark::Counter(static_cast<double>(total.flops), benchmark::Counter::kIsRate);
  }
  state.counters["bytes/s"] = benchmark::Counter(static_cast<double>(total.bytes), benchmark::Counter::kIsRate);
}

}  // namespace trireme::runtime
