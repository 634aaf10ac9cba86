#include "runtime/ops/elementwise.h"

#include <cstddef>
#include <vector>

#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

/// To the storage from the other one.
void cast_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({state.range(0)}, storage == DType::fp32 ? DType::bf16 : DType::fp32);
    const View y = operands.make({state.range(0)});
    return [=, &stream] { cast(stream, x, y); };
  });
}

void fill_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View y = operands.make({state.range(0)});
    return [=, &stream] { fill(stream, y, 0); };
  });
}

void add_bench_body(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View a = operands.make({state.range(0)});
    const View b = operands.make({state.range(0)});
    const View y = operands.make({state.range(0)});
    return [=, &stream] { add(stream, a, b, y); };
  });
}

void sum_of_squares_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({state.range(0)});
    const View total = operands.make({1}, DType::fp64);
    return [=, &stream] { add_sum_of_squares(stream, x, total, Operands::scratch()); };
  });
}

void fill_normal_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View y = operands.make({state.range(0)});
    return [=, &stream] { fill_normal(stream, {.seed = 1}, 0, y); };
  });
}

void copy_from_host_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View y = operands.make({state.range(0)});
    const std::vector<std::byte> host(static_cast<size_t>(y.bytes()));
    return [=, &stream] { copy_from_host(stream, host, y); };
  });
}

void copy_to_host_bench(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View x = operands.make({state.range(0)});
    std::vector<std::byte> host(static_cast<size_t>(x.bytes()));
    return [=, &stream]() mutable { copy_to_host(stream, x, host); };
  });
}

}  // namespace

void add_elementwise_benches() {
  const OpBenchSizes sizes{{"n"}, {{3 << 18}, {1 << 25}}, {{1 << 26}}};  // 1,024 x 768; 128 MiB of fp32
  const OpBenchSizes large{{"n"}, {{1 << 25}}, {{1 << 26}}};
  add_benches("cast_to", cast_bench, sizes);
  add_benches("fill", fill_bench, sizes);
  add_benches("add", add_bench_body, sizes);
  add_bench("add_sum_of_squares", sum_of_squares_bench, DType::fp32, large);
  add_bench("fill_normal", fill_normal_bench, DType::fp32, {{"n"}, {{1 << 20}}, {{1 << 26}}});
  add_bench("copy_from_host", copy_from_host_bench, DType::fp32, large);
  add_bench("copy_to_host", copy_to_host_bench, DType::fp32, large);
}

}  // namespace trireme::runtime
