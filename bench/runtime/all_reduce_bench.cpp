// all_reduce of this project beside MPI_Allreduce, in the same run, fp32 sums in place:
//   mpirun -n 2 build/cpu-release/bin/all_reduce_bench [--chunk BYTES] [--window LANES] [--largest MB] [--repeat N]
// Times are medians and bests over the calls, each call as slow as its slowest rank; on a shared machine only the best
// says what the code can do. GB/s = bytes of the buffer / best time. The peak it is held against: a call moves 2(P-1)/P
// times the buffer between processes and adds (P-1)/P of it, so P = 2 is one copy of the buffer and a half of a triad.
// The rival is held in two forms: one call, and calls of 4 MB one after the other (which keep its temporary in the
// cache). No Google Benchmark here: it cannot repeat a call equally often on all ranks.
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include "runtime/arena.h"
#include "runtime/mpi_session.h"

namespace trireme::runtime {
namespace {

constexpr int64_t kMegabyte = 1 << 20;

struct BenchOptions {
  MessageOptions messages;
  int64_t largest_bytes = 256 * kMegabyte;
  int repeats = 9;
};

BenchOptions parse(int argc, char** argv) {
  BenchOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const int64_t value = std::atoll(argv[i + 1]);
    if (name == "--chunk") options.messages.chunk_bytes = value;
    if (name == "--window") options.messages.window = static_cast<int>(value);
    if (name == "--largest") options.largest_bytes = value * kMegabyte;
    if (name == "--repeat") options.repeats = static_cast<int>(value);
  }
  return options;
}

double seconds_of(const std::function<void()>& call) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = MPI_Wtime();
  call();
  double seconds = MPI_Wtime() - start;
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void rival_all_reduce(float* data, int64_t elements, int64_t call_elements) {
  for (int64_t begin = 0; begin < elements; begin += call_elements) {
    const auto count = static_cast<int>(std::min(call_elements, elements - begin));
    MPI_Allreduce(MPI_IN_PLACE, data + begin, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  }
}

/// The three take turns, so that a disturbed moment of the machine strikes all of them.
void measure(Communicator& world, float* data, int64_t bytes, int repeats) {
  const int64_t elements = bytes / 4;
  const View view{{data, DType::fp32, Shape{elements}}};
  std::fill_n(data, elements, 0.0F);
  const std::vector<std::function<void()>> forms = {
      [&] { world.all_reduce(view, ReduceOp::sum).wait(); },
      [&] { rival_all_reduce(data, elements, elements); },
      [&] { rival_all_reduce(data, elements, 4 * kMegabyte / 4); },
  };
  std::vector<std::vector<double>> seconds(forms.size());
  for (int repeat = -1; repeat < repeats; ++repeat) {  // the first round warms up
    for (size_t form = 0; form < forms.size(); ++form) {
      const double once = seconds_of(forms[form]);
      if (repeat >= 0) seconds[form].push_back(once);
    }
  }
  if (world.rank() != 0) return;
  std::cout << std::setw(10) << bytes / 1024;
  for (const std::vector<double>& form : seconds) {
    const double best = std::ranges::min(form);
    std::cout << std::setw(12) << 1e6 * median(form) << std::setw(10) << 1e6 * best << std::setw(7)
              << static_cast<double>(bytes) / best / 1e9;
  }
  std::cout << std::setw(8) << std::ranges::min(seconds[0]) / std::ranges::min(seconds[2]) << std::endl;
}

int run(int argc, char** argv) {
  const BenchOptions options = parse(argc, argv);
  MpiSession session(options.messages);
  if (!started_by_launcher()) {
    std::cerr << "start it with mpirun -n 2" << std::endl;
    return 2;
  }
  const HostMemory memory(options.largest_bytes);
  if (session.world().rank() == 0) {
    std::cout << session.world().size() << " ranks, chunks of " << options.messages.chunk_bytes << " bytes, "
              << options.messages.window << " in flight, " << options.repeats
              << " calls. For ours, MPI_Allreduce, MPI_Allreduce in calls of 4 MB: median us, best us, GB/s; at the "
              << "end ours / the last, best\n      KiB" << std::fixed << std::setprecision(1) << std::endl;
  }
  for (int64_t bytes = 1024; bytes <= options.largest_bytes; bytes *= bytes < kMegabyte ? 32 : 4) {
    measure(session.world(), static_cast<float*>(memory.data()), bytes, bytes < kMegabyte ? 101 : options.repeats);
  }
  return 0;
}

}  // namespace
}  // namespace trireme::runtime

int main(int argc, char** argv) {
  return trireme::runtime::run(argc, argv);
}
