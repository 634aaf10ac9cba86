// Every op, forward and backward, in both storages. On the CPU at shapes of gpt2-124m (4 x 256 tokens), of Llama and of
// decoding; on the GPU at those of gpt2-124m and -1558m, llama-1b and -8b with thousands of tokens:
//   OMP_NUM_THREADS=2 build/cpu-release/bin/ops_bench [--benchmark_filter=linear] [--benchmark_repetitions=9]
//   build/cuda/bin/ops_bench --device cuda [--table FILE.md] [--benchmark_out=FILE.json]
// flop/s and bytes/s are the op's own stated cost (causal pairs counted once, each operand moved once) by time. Held
// against the peaks that this program measures first: see README.md. --peaks measures those alone.
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>

#include <benchmark/benchmark.h>

#include "runtime/cuda_device.h"
#include "runtime/error.h"
#include "runtime/program_start.h"
#include "runtime/threads.h"
#include "bench/runtime/op_bench.h"
#include "bench/runtime/table_reporter.h"

namespace {

using namespace trireme::runtime;

std::string giga_text(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << value / 1e9;
  return text.str();
}

/// Takes our own options out of the command line; what is left is Google Benchmark's.
struct Options {
  std::string device = "cpu";
  std::string table;
  bool only_peaks = false;

  Options(int& argc, char** argv) {
    int left = 1;
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (word == "--peaks") {
        only_peaks = true;
      } else if ((word == "--device" || word == "--table") && i + 1 < argc) {
        (word == "--device" ? device : table) = argv[++i];
      } else {
        argv[left++] = argv[i];
      }
    }
    argc = left;
    argv[argc] = nullptr;
    if (device != "cpu" && device != "cuda") {
      throw Error(ErrorKind::usage, "ops_bench: --device is cpu or cuda, not " + device);
    }
  }
};

std::string say_peaks() {
  if (bench_device() == Device::cpu) {
    const std::string flops = giga_text(peaks().flops);
    const std::string bytes = giga_text(peaks().bytes);
    benchmark::AddCustomContext("threads", std::to_string(compute_threads()));
    benchmark::AddCustomContext("peak Gflop/s (fp32 FMA)", flops);
    benchmark::AddCustomContext("peak GB/s (memory)", bytes);
    return "Ceilings: " + flops + " Gflop/s (fp32 FMA), " + bytes + " GB/s.\n";
  }
  const std::string bf16 = giga_text(peaks().bf16_flops);
  const std::string fp32 = giga_text(peaks().flops);
  const std::string bytes = giga_text(peaks().bytes);
  benchmark::AddCustomContext("device", cuda_description());
  benchmark::AddCustomContext("peak Gflop/s (bf16 product, 8192^3)", bf16);
  benchmark::AddCustomContext("peak Gflop/s (fp32 product, 4096^3)", fp32);
  benchmark::AddCustomContext("peak GB/s (copy, read and written)", bytes);
  return cuda_description() + ".\nCeilings: " + bf16 + " Gflop/s (bf16 product, 8192^3), " + fp32 +
         " Gflop/s (fp32 product, 4096^3), " + bytes + " GB/s (copy, read and written).\n";
}

int bench(int argc, char** argv) {
  const Options options(argc, argv);
  bench_on(options.device == "cuda" ? Device::cuda : Device::cpu);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  add_linear_benches();
  add_attention_benches();
  add_norm_benches();
  add_activation_benches();
  add_loss_benches();
  add_embedding_benches();
  add_elementwise_benches();
  add_adamw_benches();
  const std::string head = say_peaks();
  if (options.only_peaks) {
    std::cout << head;
    return 0;
  }
  if (options.table.empty()) {
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  }
  TableReporter reporter(options.table, head);
  if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0) {
    throw Error(ErrorKind::usage, "ops_bench: --benchmark_filter leaves no bench");
  }
  return reporter.failures() == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  restart_with_library_settings(argv);
  try {
    const int code = bench(argc, argv);
    benchmark::Shutdown();
    return code;
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return error.kind() == ErrorKind::usage ? 2 : 1;
  }
}
