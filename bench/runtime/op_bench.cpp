#include "bench/runtime/op_bench.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/device_peaks.h"
#include "runtime/error.h"
#include "runtime/machine_peaks.h"
#include "runtime/ops/check.h"
#include "runtime/ops/elementwise.h"
#include "runtime/stopwatch.h"
#include "runtime/threads.h"
#include "runtime/time_marks.h"

namespace trireme::runtime {
namespace {

Device device = Device::cpu;

// Sets of operands on the GPU: several times its L2 (60 MB on an H200), so that no call finds its operands there.
constexpr int64_t kRotationBytes = int64_t{512} << 20;
constexpr size_t kMostSets = 64;
constexpr double kBatchSeconds = 5e-3;  // of queued calls between two marks
constexpr int64_t kBatches = 20;

Arena make_operand_arena() {
  if (device == Device::cpu) return Arena::host("bench", int64_t{1} << 29);
  const int64_t half_bytes = available_memory_bytes(device).value() / 2;
  return Arena::on(device, "bench", std::min(half_bytes, int64_t{24} << 30));
}

Arena& operand_arena() {
  static Arena& arena = *new Arena(make_operand_arena());  // lives until CUDA itself is gone
  return arena;
}

/// Random, and of the size of activations.
void fill_on_device(Stream& stream, View view) {
  Arena& arena = operand_arena();
  const NormalSource source{.seed = 1, .name_hash = static_cast<uint64_t>(arena.used_bytes())};
  if (view.dtype == DType::fp32) return fill_normal(stream, source, 0, view);
  const ArenaFrame frame(arena);
  const View values = arena.allocate(DType::fp32, view.shape);
  fill_normal(stream, source, 0, values);
  cast(stream, values, view);
}

void report(benchmark::State& state, DType storage, const CostRecord::Total& total, double seconds) {
  const auto flops = static_cast<double>(total.flops);
  const auto bytes = static_cast<double>(total.bytes);
  const double peak_flops = storage == DType::bf16 ? peaks().bf16_flops : peaks().flops;
  if (total.flops > 0) state.counters["flop/s"] = flops / seconds;
  state.counters["bytes/s"] = bytes / seconds;
  state.counters["of_peak"] = std::max(flops / peak_flops, bytes / peaks().bytes) / seconds;
}

void run_on_cpu(benchmark::State& state, DType storage, const Prepare& prepare) {
  Stream stream(Device::cpu);
  Operands operands(storage, stream);
  const Call call = prepare(operands);
  stream.clear_costs();
  const Stopwatch watch;
  for (auto _ : state) call();
  report(state, storage, stream.costs().sum(), watch.seconds());
}

/// Sets until they are far beyond the L2 together.
std::vector<Call> prepare_sets(Operands& operands, const Prepare& prepare) {
  std::vector<Call> sets = {prepare(operands)};
  const int64_t set_bytes = operand_arena().used_bytes();
  // Casts to bf16 take twice their result for a moment.
  const int64_t room_bytes = std::min(kRotationBytes, operand_arena().capacity_bytes() - 3 * set_bytes);
  while (sets.size() < kMostSets && (sets.size() < 2 || operand_arena().used_bytes() < room_bytes) &&
         operand_arena().capacity_bytes() - operand_arena().used_bytes() > 3 * set_bytes) {
    sets.push_back(prepare(operands));
  }
  return sets;
}

/// Seconds of `calls` calls by the device's clock.
double run_batch(Stream& stream, const std::vector<Call>& sets, int64_t calls, size_t& next) {
  TimeMarks marks(stream);
  marks.mark();
  for (int64_t i = 0; i < calls; ++i) sets[next++ % sets.size()]();
  marks.mark();
  stream.wait();
  return marks.seconds(0);
}

void run_on_gpu(benchmark::State& state, DType storage, const Prepare& prepare) {
  Stream stream(Device::cuda);
  Operands operands(storage, stream);
  const std::vector<Call> sets = prepare_sets(operands, prepare);
  size_t next = 0;
  const auto all = static_cast<int64_t>(sets.size());
  run_batch(stream, sets, 1, next);  // libraries choose their algorithms
  const double each = run_batch(stream, sets, all, next) / static_cast<double>(all);
  const auto calls = std::clamp(static_cast<int64_t>(kBatchSeconds / each), int64_t{2}, int64_t{2000});
  stream.clear_costs();
  double seconds = 0;
  for (auto _ : state) {
    const double batch = run_batch(stream, sets, calls, next);
    state.SetIterationTime(batch / static_cast<double>(calls));
    seconds += batch;
  }
  report(state, storage, stream.costs().sum(), seconds);
}

}  // namespace

void bench_on(Device chosen) {
  device = chosen;
}

Device bench_device() {
  return device;
}

const Peaks& peaks() {
  static const Peaks measured = [] {
    if (device == Device::cpu) {
      const double flops = measure_fma_peak();
      return Peaks{.flops = flops, .bf16_flops = flops, .bytes = measure_memory().best()};
    }
    Stream stream(device);
    const DevicePeaks gpu = measure_device_peaks(stream);
    return Peaks{.flops = gpu.fp32_product_flops, .bf16_flops = gpu.product_flops, .bytes = gpu.copy_bytes};
  }();
  return measured;
}

View Operands::make(const Shape& shape, DType dtype) {
  const View view = operand_arena().allocate(dtype, shape);
  const bool is_real = dtype == DType::fp32 || dtype == DType::bf16;
  if (device == Device::cuda) {
    if (is_real) fill_on_device(stream_, view);
    if (!is_real) copy_from_host(stream_, std::vector<std::byte>(static_cast<size_t>(view.bytes())), view);
    return view;
  }
  if (!is_real) {
    std::fill_n(static_cast<std::byte*>(view.data), view.bytes(), std::byte{0});
    return view;
  }
  with_storage(dtype, [&](auto zero) {
    auto* values = view.as<decltype(zero)>();
    for (int64_t i = 0; i < view.elements(); ++i) values[i] = static_cast<float>(i % 61) / 30 - 1;
  });
  return view;
}

View Operands::make_ids(int64_t N, int64_t end) {
  const View view = operand_arena().allocate(DType::i32, {N});
  std::vector<int32_t> ids(static_cast<size_t>(N));
  for (int64_t i = 0; i < N; ++i) ids[static_cast<size_t>(i)] = static_cast<int32_t>(i * 7919 % end);
  copy_from_host(stream_, std::as_bytes(std::span(ids)), view);
  return view;
}

Arena& Operands::scratch() {
  // CPU: bf16 products: three blocks; attention: 16 T D bytes and 0.2 MiB of tiles a thread, T D is 2^17 at most. GPU:
  // what products, sorted ids and attention's row sums take at these sizes.
  static Arena& arena = *new Arena(
      device == Device::cpu ? Arena::host("scratch", (int64_t{1} << 26) + compute_threads() * (int64_t{3} << 20))
                            : Arena::on(device, "scratch", int64_t{1} << 30));
  return arena;
}

void run(benchmark::State& state, DType storage, const Prepare& prepare) {
  operand_arena().reset();
  if (device == Device::cpu) return run_on_cpu(state, storage, prepare);
  run_on_gpu(state, storage, prepare);
}

void add_bench(std::string_view name, OpBench bench, DType storage, const OpBenchSizes& sizes) {
  const std::vector<std::vector<int64_t>>& all = device == Device::cpu ? sizes.cpu : sizes.cuda;
  if (all.empty()) return;
  const std::string full_name = std::string(name) + "/" + std::string(runtime::name(storage));
  auto* added = benchmark::RegisterBenchmark(full_name.c_str(), [bench, storage](benchmark::State& state) {
    try {
      bench(state, storage);
    } catch (const Error& error) {
      state.SkipWithError(error.what());
    }
  });
  added->ArgNames(sizes.names);
  if (device == Device::cpu) added->UseRealTime();
  if (device == Device::cuda) added->UseManualTime()->Iterations(kBatches)->Unit(benchmark::kMicrosecond);
  for (const std::vector<int64_t>& values : all) added->Args(values);
}

void add_benches(std::string_view name, OpBench bench, const OpBenchSizes& sizes) {
  OpBenchSizes fp32_sizes = sizes;
  if (!fp32_sizes.cuda.empty()) fp32_sizes.cuda.resize(1);
  add_bench(name, bench, DType::fp32, fp32_sizes);
  add_bench(name, bench, DType::bf16, sizes);
}

}  // namespace trireme::runtime
