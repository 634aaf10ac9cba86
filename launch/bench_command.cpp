// trireme bench --calibrate: measures products, memory, messages and the ops of training steps, prints them and writes
// the JSON that train --calibration reads. Under mpirun all ranks measure at the same time, as they will train; rank
// 0's figures count.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iterator>

#include "launch/commands.h"
#include "launch/json_text.h"
#include "launch/number_text.h"
#include "launch/peak_table.h"
#include "launch/version.h"
#include "model/config.h"
#include "model/layers/head.h"
#include "model/probe_steps.h"
#include "runtime/calibration.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/processor.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

constexpr int64_t kTokens = 1024;
constexpr int64_t kMemoryBlockBytes = int64_t{3} << 28;  // of all ranks of a machine together
constexpr std::array<int64_t, 9> kMessageBytes{1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18,
                                               1 << 20, 1 << 22, 1 << 24, 1 << 26};

/// The products of a GPT-2 step: q, k and v together, the attention's output, both of the feed-forward, a chunk of the
/// head.
std::vector<runtime::ProductShape> product_shapes(const model::ModelConfig& config) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const int64_t V = config.vocabulary_size;
  return {{kTokens, C, 3 * C},
          {kTokens, C, C},
          {kTokens, C, F},
          {kTokens, F, C},
          {model::head_chunk_tokens(kTokens, V, runtime::Device::cpu), C, V}};
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

[[noreturn]] void refuse_output(const std::string& path, const std::string& why) {
  throw runtime::Error(runtime::ErrorKind::usage, "--output " + path + " " + why);
}

/// Minutes of measuring must not end in a file that cannot be written, and nobody's file is overwritten or removed: not
/// that of PATH.tmp either, through which runtime::write_text_atomically goes.
void check_output(runtime::Files& files, const std::string& path) {
  if (files.exists(path) && !(files.is_regular_file(path) && runtime::is_calibration(files, path))) {
    refuse_output(path, "exists and is not a calibration; choose another file");
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (!parent.empty() && !files.is_directory(parent)) {
    refuse_output(path, "cannot be written: " + parent + " is not a directory; make it, or choose another file");
  }
  const std::string temporary = path + ".tmp";
  if (files.exists(temporary)) {
    refuse_output(path, "is written as " + temporary + " first, and that exists; move it away or choose another file");
  }
  try {
    files.create(temporary);
    files.remove_all(temporary);
  } catch (const runtime::Error& error) {
    refuse_output(path, std::string("cannot be written: ") + error.what() + "; choose another file");
  }
}

/// Calls of all ops of training steps. Each rank trains alone, at the same time as the others. Collective.
std::vector<runtime::OpTime> measure_ops(runtime::Communicator& world, bool quick) {
  std::vector<model::ProbeStep> probes = model::small_probe_steps();
  if (!quick) std::ranges::copy(model::wide_probe_steps(), std::back_inserter(probes));
  std::vector<runtime::OpTime> ops;
  for (const model::ProbeStep& probe : probes) {
    world.barrier().wait();
    std::ranges::copy(model::time_ops(probe), std::back_inserter(ops));
  }
  return ops;
}

/// Neighbours make every figure worse; the best of many runs helps only against a few.
void warn_of_neighbours() {
  double load = 0;
  const int64_t cores = runtime::processor_cores();
  if (getloadavg(&load, 1) != 1 || load < 0.5 * static_cast<double>(cores)) return;
  runtime::log_warning("other programs keep " + fixed_text(load, 1) + " of " + counted(cores, "core") +
                       " busy; the figures will be too low");
}

}  // namespace

int run_bench(const BenchOptions& options, runtime::Communicator& world) {
  const int64_t threads = runtime::use_threads(options.threads);
  runtime::Files& files = runtime::real_files();
  if (world.rank() == 0) {
    check_output(files, options.output);
    warn_of_neighbours();
  }
  runtime::Calibration calibration{.processor = runtime::processor_name(),
                                   .cores = runtime::processor_cores(),
                                   .threads = threads,
                                   .ranks = world.size(),
                                   .date = date_now(),
                                   .version = version(),
                                   .commit = commit()};
  world.barrier().wait();
  calibration.fma_flops_per_second = runtime::measure_fma_peak();
  world.barrier().wait();
  calibration.memory = runtime::measure_memory(kMemoryBlockBytes / runtime::local_ranks());
  world.barrier().wait();
  calibration.products = runtime::measure_products(product_shapes(model::preset("gpt2-124m")));
  calibration.messages = runtime::measure_messages(world, kMessageBytes);
  calibration.ops = measure_ops(world, options.quick);
  calibration.call_seconds = std::ranges::min(calibration.ops, {}, &runtime::OpTime::seconds).seconds;
  if (world.rank() != 0) return 0;
  std::fputs(peak_table(calibration).c_str(), stdout);
  if (calibration.messages.empty()) {
    std::printf(
        "\nmessages      not measured by one rank alone; for 2 ranks of this machine:\n"
        "              mpirun -n 2 --bind-to none trireme bench --calibrate --threads %lld --output FILE\n",
        static_cast<long long>(std::max<int64_t>(1, threads / 2)));
  }
  runtime::write_text_atomically(files, options.output, json_text(to_json(calibration)));
  std::printf("\nwritten to %s\n", options.output.c_str());
  return 0;
}

}  // namespace trireme::launch
