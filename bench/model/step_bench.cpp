// Whole training steps of a preset on random tokens, one rank:
//   OMP_NUM_THREADS=2 build/cpu-release/bin/step_bench [--model gpt2-124m] [--batch 4] [--sequence-length 256]
//     [--precision fp32|bf16] [--recompute none|selective|full] [--warmup 1] [--steps 10] [--learning-rate 6e-4]
//     [--device cpu|cuda] [--json FILE] [--export DIRECTORY]
// tokens/s by wall time, the warm-up left out. Model flop/s are tokens/s x (6 N + 6 L C T), causal counted once,
// recomputation not (model/config.h). Held against what was measured in the same run: on the CPU the fp32 FMA peak, on
// the GPU the 8192^3 bf16 product, and there against NVIDIA's data sheet too. --export writes what another program
// needs to train the same steps (start_files.h), with --warmup 0 usually.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/model/bench_options.h"
#include "model/random_batch.h"
#include "bench/model/start_files.h"
#include "model/train_step.h"
#include "runtime/cuda_device.h"
#include "runtime/device_peaks.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/machine_peaks.h"
#include "runtime/program_start.h"
#include "runtime/stopwatch.h"
#include "runtime/threads.h"

namespace trireme::model {
namespace {

using runtime::Error;
using runtime::ErrorKind;

BenchOptions parse(int argc, char** argv) {
  return {"step_bench",
          {{"--model", "gpt2-124m"},
           {"--batch", "4"},
           {"--sequence-length", "256"},
           {"--precision", "fp32"},
           {"--recompute", "none"},
           {"--warmup", "1"},
           {"--steps", "10"},
           {"--learning-rate", "6e-4"},
           {"--device", "cpu"},
           {"--json", ""},
           {"--export", ""}},
          argc,
          argv};
}

struct Spread {
  double low;
  double median;
  double high;
};
Spread spread(std::vector<double> values) {
  std::ranges::sort(values);
  return {values.front(), values[values.size() / 2], values.back()};
}

/// What was measured in each step after the warm-up; losses of all.
struct Measured {
  std::vector<double> losses;
  std::vector<double> step_seconds;
  std::vector<double> forward_seconds;
  std::vector<double> backward_seconds;
  std::vector<double> update_seconds;
};

struct StepCount {
  int64_t warmup = 1;
  int64_t measured = 10;
};

Measured run_steps(Trainer& trainer, const HostMicrobatch& batch, const StepCount& count, UpdateOptions update) {
  Measured measured;
  for (int64_t step = 0; step < count.warmup + count.measured; ++step) {
    update.update = step + 1;
    const runtime::Stopwatch watch;
    const StepResult result = train_step(trainer, std::span(&batch, 1), update);
    const double seconds = watch.seconds();
    if (!result.updated()) throw Error(ErrorKind::internal, "step_bench: the loss is not finite");
    measured.losses.push_back(result.loss);
    if (step < count.warmup) continue;
    measured.step_seconds.push_back(seconds);
    measured.forward_seconds.push_back(result.times.forward_seconds);
    measured.backward_seconds.push_back(result.times.backward_seconds);
    measured.update_seconds.push_back(result.times.reduce_seconds + result.times.update_seconds);
  }
  return measured;
}

void print_phase(const char* name, const std::vector<double>& seconds, double step_seconds) {
  const Spread phase = spread(seconds);
  std::printf("%-10s %8.1f ms (%.1f to %.1f), %2.0f%%\n", name, 1e3 * phase.median, 1e3 * phase.low, 1e3 * phase.high,
              100 * phase.median / step_seconds);
}

/// What the model's flops are held against.
struct Ceiling {
  std::string name;
  double flops = 0;
};

std::vector<Ceiling> measure_ceilings(runtime::Stream& stream) {
  if (stream.device() == runtime::Device::cpu) return {{"fp32 FMA", runtime::measure_fma_peak()}};
  return {{"bf16 product of 8192^3", runtime::measure_device_peaks(stream).product_flops},
          {"data sheet of H100 and H200, bf16", runtime::kHopperSheetFlops}};
}

void print_results(const ModelConfig& config, const HostMicrobatch& batch, const Measured& measured,
                   const std::vector<Ceiling>& ceilings) {
  const Spread seconds = spread(measured.step_seconds);
  const auto tokens = static_cast<double>(batch.B * batch.T);
  std::printf("tokens/s   %8.1f (%.1f to %.1f)\n", tokens / seconds.median, tokens / seconds.high,
              tokens / seconds.low);
  print_phase("step", measured.step_seconds, seconds.median);
  print_phase("forward", measured.forward_seconds, seconds.median);
  print_phase("backward", measured.backward_seconds, seconds.median);
  print_phase("update", measured.update_seconds, seconds.median);
  const double flops = tokens / seconds.median * flops_per_token(config, batch.T);
  for (const Ceiling& ceiling : ceilings) {
    std::printf("model      %8.1f Gflop/s, %.3f of the peak (%s)\n", flops / 1e9, flops / ceiling.flops,
                ceiling.name.c_str());
  }
}

/// One object: what print_results says, for a program.
void write_json(const BenchOptions& options, const ModelConfig& config, const Measured& measured,
                const std::vector<Ceiling>& ceilings) {
  const std::string& path = options.text("--json");
  if (path.empty()) return;
  const Spread seconds = spread(measured.step_seconds);
  const int64_t T = options.number("--sequence-length");
  const double tokens_per_second = static_cast<double>(options.number("--batch") * T) / seconds.median;
  std::ofstream file(path);
  file << "{\"model\": \"" << options.text("--model") << "\", \"batch\": " << options.text("--batch")
       << ", \"sequence_length\": " << T << ", \"precision\": \"" << options.text("--precision") << "\", \"device\": \""
       << options.text("--device") << "\",\n \"step_seconds\": " << seconds.median
       << ", \"step_seconds_low\": " << seconds.low << ", \"step_seconds_high\": " << seconds.high
       << ", \"tokens_per_second\": " << tokens_per_second << ", \"flops_per_token\": " << flops_per_token(config, T)
       << ", \"mfu\": {";
  for (const Ceiling& ceiling : ceilings) {
    file << (&ceiling == ceilings.data() ? "" : ", ") << "\"" << ceiling.name
         << "\": " << tokens_per_second * flops_per_token(config, T) / ceiling.flops;
  }
  file << "}}\n";
  if (!file.flush()) throw Error(ErrorKind::io, "step_bench: cannot write " + path);
}

void bench(const BenchOptions& options) {
  ModelConfig config = preset(options.text("--model"));
  if (config.vocabulary_size == 0) config.vocabulary_size = 256;  // bytes
  const int64_t B = options.number("--batch");
  const int64_t T = options.number("--sequence-length");
  const StepCount steps{.warmup = options.number("--warmup", 0), .measured = options.number("--steps")};
  const UpdateOptions update{.learning_rate = std::atof(options.text("--learning-rate").c_str())};
  const Execution execution{
      .storage = options.choice<runtime::DType>("--precision",
                                                {{"fp32", runtime::DType::fp32}, {"bf16", runtime::DType::bf16}}),
      .recompute = options.choice<Recompute>(
          "--recompute", {{"none", Recompute::none}, {"selective", Recompute::selective}, {"full", Recompute::full}}),
      .device = options.choice<runtime::Device>("--device",
                                                {{"cpu", runtime::Device::cpu}, {"cuda", runtime::Device::cuda}})};
  if (T > config.positions) {
    throw Error(ErrorKind::usage, "step_bench: --sequence-length is " + std::to_string(T) + ", the model has " +
                                      std::to_string(config.positions) + " positions");
  }

  const runtime::MemoryPlan plan = plan_training(config, execution, {}, {.B = B, .T = T}, {});
  std::printf("%s, %ld x %ld tokens, %s, recompute %s, %s, %ld steps after %ld\n", options.text("--model").c_str(), B,
              T, options.text("--precision").c_str(), options.text("--recompute").c_str(),
              execution.device == runtime::Device::cpu
                  ? (std::to_string(runtime::compute_threads()) + " threads").c_str()
                  : runtime::cuda_description().c_str(),
              steps.measured, steps.warmup);
  const auto giga = [](int64_t bytes) { return static_cast<double>(bytes) / 1e9; };
  std::printf("planned    %8.3f GB (persistent %.3f, slot %.3f, scratch %.3f)\n", giga(plan.total_bytes()),
              giga(plan.persistent_bytes), giga(plan.slot_bytes()), giga(plan.scratch_bytes));
  runtime::Stream stream(execution.device);
  const std::optional<int64_t> available_bytes = runtime::available_memory_bytes(execution.device);
  if (available_bytes && plan.total_bytes() > *available_bytes) {
    throw Error(ErrorKind::device, "step_bench: only " + std::to_string(*available_bytes) + " bytes are free");
  }
  const std::vector<Ceiling> ceilings = measure_ceilings(stream);
  for (const Ceiling& ceiling : ceilings) {
    std::printf("peak       %8.1f Gflop/s (%s)\n", ceiling.flops / 1e9, ceiling.name.c_str());
  }
  std::fflush(stdout);

  runtime::Memory memory = runtime::Memory::on(execution.device, plan);
  const std::unique_ptr<runtime::Communicator> alone = runtime::solo_communicator();
  parallel::MeshGroups groups = parallel::make_groups({}, *alone);
  const auto trainer = make_trainer(config, Purpose::training, execution, stream, memory, groups);
  initialize(stream, 1, trainer->units);
  const RandomBatch batch(1, B, T, config.vocabulary_size);
  const std::string& directory = options.text("--export");
  if (!directory.empty()) {
    runtime::real_files().make_directory(directory);
    write_weights(stream, trainer->units, directory);
    write_batch(batch.view, directory);
  }
  const Measured measured = run_steps(*trainer, batch.view, steps, update);
  print_results(config, batch.view, measured, ceilings);
  write_json(options, config, measured, ceilings);
  if (directory.empty()) return;
  write_record(config, {options.text("--model"), options.text("--precision"), B, T, update, measured.losses},
               directory);
}

}  // namespace
}  // namespace trireme::model

int main(int argc, char** argv) {
  trireme::runtime::restart_with_library_settings(argv);
  try {
    trireme::model::bench(trireme::model::parse(argc, argv));
  } catch (const trireme::runtime::Error& error) {
    std::cerr << error.what() << '\n';
    return error.kind() == trireme::runtime::ErrorKind::usage ? 2 : 1;
  }
  return 0;
}
