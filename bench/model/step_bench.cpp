// Whole training steps of a preset on random tokens, one rank:
//   OMP_NUM_THREADS=2 build/cpu-release/bin/step_bench [--model gpt2-124m] [--batch 4] [--sequence-length 256]
//     [--precision fp32|bf16] [--recompute none|selective|full] [--steps 10]
// tokens/s by wall time, the first step left out. Held against the fp32 FMA peak measured in the same run: model flop/s
// are tokens/s x (6 N + 6 L C T), causal counted once, recomputation not (model/config.h).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "model/train_step.h"
#include "runtime/error.h"
#include "runtime/machine_peaks.h"
#include "runtime/program_start.h"
#include "runtime/stopwatch.h"
#include "runtime/threads.h"

namespace trireme::model {
namespace {

using runtime::Error;
using runtime::ErrorKind;

using Options = std::map<std::string, std::string>;

Options parse(int argc, char** argv) {
  Options options = {{"--model", "gpt2-124m"}, {"--batch", "4"},        {"--sequence-length", "256"},
                     {"--precision", "fp32"},  {"--recompute", "none"}, {"--steps", "10"}};
  for (int i = 1; i < argc; i += 2) {
    const auto found = options.find(argv[i]);
    if (found == options.end() || i + 1 == argc) {
      throw Error(ErrorKind::usage, "step_bench: " + std::string(argv[i]) + " is not an option with a value");
    }
    found->second = argv[i + 1];
  }
  return options;
}

int64_t number(const Options& options, const std::string& name) {
  const std::string& text = options.at(name);
  const int64_t value = std::atoll(text.c_str());
  if (value < 1) throw Error(ErrorKind::usage, "step_bench: " + name + " is " + text + ", expected 1 or more");
  return value;
}

template <typename Value>
Value choice(const Options& options, const std::string& name, const std::map<std::string, Value>& choices) {
  const auto found = choices.find(options.at(name));
  if (found != choices.end()) return found->second;
  std::string known;
  for (const auto& [word, value] : choices) known += " " + word;
  throw Error(ErrorKind::usage, "step_bench: " + name + " is one of" + known + ", not " + options.at(name));
}

/// One batch for all steps: what is computed does not depend on it.
struct RandomBatch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<int64_t> samples;
  HostMicrobatch view;

  RandomBatch(int64_t B, int64_t T, int64_t V)
      : tokens(static_cast<size_t>(B * T)), targets(tokens.size()), samples(static_cast<size_t>(B)) {
    std::mt19937_64 engine(1);
    std::uniform_int_distribution<int32_t> token(0, static_cast<int32_t>(V - 1));
    for (int32_t& value : tokens) value = token(engine);
    for (int32_t& value : targets) value = token(engine);
    for (size_t b = 0; b < samples.size(); ++b) samples[b] = static_cast<int64_t>(b);
    view = {.B = B, .T = T, .tokens = tokens.data(), .targets = targets.data(), .samples = samples.data()};
  }
};

struct Spread {
  double low;
  double median;
  double high;
};
Spread spread(std::vector<double> values) {
  std::ranges::sort(values);
  return {values.front(), values[values.size() / 2], values.back()};
}

/// What was measured in each step but the first.
struct Measured {
  std::vector<double> step_seconds;
  std::vector<double> forward_seconds;
  std::vector<double> backward_seconds;
  std::vector<double> update_seconds;
};

Measured run_steps(Trainer& trainer, const HostMicrobatch& batch, int64_t steps) {
  Measured measured;
  for (int64_t step = 0; step <= steps; ++step) {
    const runtime::Stopwatch watch;
    const StepResult result = train_step(trainer, std::span(&batch, 1), {.update = step + 1});
    const double seconds = watch.seconds();
    if (!result.updated) throw Error(ErrorKind::internal, "step_bench: the loss is not finite");
    if (step == 0) continue;
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

void print_results(const ModelConfig& config, const HostMicrobatch& batch, const Measured& measured, double peak) {
  const Spread seconds = spread(measured.step_seconds);
  const auto tokens = static_cast<double>(batch.B * batch.T);
  std::printf("tokens/s   %8.1f (%.1f to %.1f)\n", tokens / seconds.median, tokens / seconds.high,
              tokens / seconds.low);
  print_phase("step", measured.step_seconds, seconds.median);
  print_phase("forward", measured.forward_seconds, seconds.median);
  print_phase("backward", measured.backward_seconds, seconds.median);
  print_phase("update", measured.update_seconds, seconds.median);
  const double flops = tokens / seconds.median * flops_per_token(config, batch.T);
  std::printf("model      %8.1f Gflop/s, %.3f of the peak\n", flops / 1e9, flops / peak);
}

void bench(const Options& options) {
  ModelConfig config = preset(options.at("--model"));
  if (config.vocabulary_size == 0) config.vocabulary_size = 256;  // bytes
  const int64_t B = number(options, "--batch");
  const int64_t T = number(options, "--sequence-length");
  const int64_t steps = number(options, "--steps");
  const Execution execution{
      .storage = choice<runtime::DType>(options, "--precision",
                                        {{"fp32", runtime::DType::fp32}, {"bf16", runtime::DType::bf16}}),
      .recompute = choice<Recompute>(
          options, "--recompute",
          {{"none", Recompute::none}, {"selective", Recompute::selective}, {"full", Recompute::full}})};
  if (T > config.positions) {
    throw Error(ErrorKind::usage, "step_bench: --sequence-length is " + std::to_string(T) + ", the model has " +
                                      std::to_string(config.positions) + " positions");
  }

  const runtime::MemoryPlan plan = plan_training(config, execution, B, T, {}, 1);
  std::printf("%s, %ld x %ld tokens, %s, recompute %s, %d threads, %ld steps after the first\n",
              options.at("--model").c_str(), B, T, options.at("--precision").c_str(), options.at("--recompute").c_str(),
              runtime::compute_threads(), steps);
  const auto giga = [](int64_t bytes) { return static_cast<double>(bytes) / 1e9; };
  std::printf("planned    %8.3f GB (persistent %.3f, slot %.3f, scratch %.3f)\n", giga(plan.total_bytes()),
              giga(plan.persistent_bytes), giga(plan.slots * plan.slot_bytes), giga(plan.scratch_bytes));
  const std::optional<int64_t> available_bytes = runtime::available_memory_bytes();
  if (available_bytes && plan.total_bytes() > *available_bytes) {
    throw Error(ErrorKind::device, "step_bench: only " + std::to_string(*available_bytes) + " bytes are free");
  }
  const double peak = runtime::measure_fma_peak();
  std::printf("peak       %8.1f Gflop/s (fp32 FMA)\n", peak / 1e9);

  runtime::Stream stream(runtime::Device::cpu);
  runtime::Memory memory = runtime::Memory::host(plan);
  const std::unique_ptr<runtime::Communicator> alone = runtime::solo_communicator();
  parallel::MeshGroups groups = parallel::make_groups({}, *alone);
  const auto trainer = make_trainer(config, Purpose::training, execution, stream, memory, groups);
  initialize(stream, 1, trainer->units);
  const RandomBatch batch(B, T, config.vocabulary_size);
  print_results(config, batch.view, run_steps(*trainer, batch.view, steps), peak);
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
