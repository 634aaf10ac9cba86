#include "bench/runtime/op_bench.h"

#include <algorithm>
#include <cstddef>

#include "runtime/error.h"
#include "runtime/machine_peaks.h"
#include "runtime/ops/check.h"
#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

Arena& operand_arena() {
  static Arena arena = Arena::host("bench", int64_t{1} << 29);
  return arena;
}

}  // namespace

const Peaks& peaks() {
  static const Peaks measured{.flops = measure_fma_peak(), .bytes = measure_memory().best()};
  return measured;
}

Operands::Operands(DType storage) : storage_(storage) {
  operand_arena().reset();
}

View Operands::make(const Shape& shape, DType dtype) {
  const View view = operand_arena().allocate(dtype, shape);
  if (dtype != DType::fp32 && dtype != DType::bf16) {
    std::fill_n(static_cast<std::byte*>(view.data), view.bytes(), std::byte{0});
    return view;
  }
  with_storage(dtype, [&](auto zero) {
    auto* values = view.as<decltype(zero)>();
    for (int64_t i = 0; i < view.elements(); ++i) values[i] = static_cast<float>(i % 61) / 30 - 1;
  });
  return view;
}

Arena& Operands::scratch() {
  // bf16 products: three blocks. Attention: 16 T D bytes and 0.2 MiB of tiles a thread; T D is 2^17 at most.
  static Arena arena = Arena::host("scratch", (int64_t{1} << 26) + compute_threads() * (int64_t{3} << 20));
  return arena;
}

void report(benchmark::State& state, const CostRecord::Total& total, double seconds) {
  const auto flops = static_cast<double>(total.flops);
  const auto bytes = static_cast<double>(total.bytes);
  if (total.flops > 0) state.counters["flop/s"] = flops / seconds;
  state.counters["bytes/s"] = bytes / seconds;
  state.counters["of_peak"] = std::max(flops / peaks().flops, bytes / peaks().bytes) / seconds;
}

void add_bench(std::string_view name, OpBench bench, DType storage, const OpBenchSizes& sizes) {
  const std::string full_name = std::string(name) + "/" + std::string(runtime::name(storage));
  auto* added = benchmark::RegisterBenchmark(full_name.c_str(), [bench, storage](benchmark::State& state) {
    try {
      bench(state, storage);
    } catch (const Error& error) {
      state.SkipWithError(error.what());
    }
  });
  added->ArgNames(sizes.names)->UseRealTime();
  for (const std::vector<int64_t>& values : sizes.values) added->Args(values);
}

void add_benches(std::string_view name, OpBench bench, const OpBenchSizes& sizes) {
  for (const DType storage : {DType::fp32, DType::bf16}) add_bench(name, bench, storage, sizes);
}

}  // namespace trireme::runtime
