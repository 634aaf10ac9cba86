// Every op, forward and backward, in both storages, at shapes of gpt2-124m (4 x 256 tokens), of Llama and of decoding:
//   OMP_NUM_THREADS=2 build/cpu-release/bin/ops_bench [--benchmark_filter=linear] [--benchmark_repetitions=9]
// flop/s and bytes/s are the op's own stated cost (causal pairs counted once, each operand moved once) by wall time.
// Held against the FMA and memory peaks that this program measures first, with as many threads: see README.md.
#include <iomanip>
#include <sstream>
#include <string>

#include <benchmark/benchmark.h>

#include "runtime/program_start.h"
#include "runtime/threads.h"
#include "bench/runtime/op_bench.h"

namespace {

std::string giga_text(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << value / 1e9;
  return text.str();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace trireme::runtime;
  restart_with_library_settings(argv);
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
  benchmark::AddCustomContext("threads", std::to_string(compute_threads()));
  benchmark::AddCustomContext("peak Gflop/s (fp32 FMA)", giga_text(peaks().flops));
  benchmark::AddCustomContext("peak GB/s (memory)", giga_text(peaks().bytes));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
