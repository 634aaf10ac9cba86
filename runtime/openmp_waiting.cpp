#include "runtime/openmp_waiting.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

namespace trireme::runtime {
namespace {

constexpr const char* kMarker = "TRIREME_RESTARTED";

int64_t whole_from_environment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  return error == std::errc() && value > 0 ? value : otherwise;
}

/// Ranks on this machine as the launcher counts them: Open MPI's mpirun, else Slurm's srun.
int64_t local_ranks_of_launcher() {
  return whole_from_environment("OMPI_COMM_WORLD_LOCAL_SIZE", whole_from_environment("MPI_LOCALNRANKS", 1));
}

}  // namespace

void restart_with_short_openmp_spin(char** argv) {
  if (std::getenv(kMarker) != nullptr) {
    unsetenv(kMarker);  // a program that this one starts decides for itself
    return;
  }
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  setenv(kMarker, "1", 1);
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (!error) execv(program.c_str(), argv);  // by its own name, so that `top` does not call it "exe"
  execv("/proc/self/exe", argv);
  unsetenv(kMarker);
}

int64_t cores_of_rank(int64_t cores, int64_t cores_of_machine, int64_t local_ranks) {
  if (cores < cores_of_machine) return std::max<int64_t>(1, cores);  // the launcher has bound this rank
  return std::max<int64_t>(1, cores / std::max<int64_t>(1, local_ranks));
}

int64_t use_threads(int64_t requested) {
  int64_t threads = requested;
  if (threads <= 0) threads = whole_from_environment("OMP_NUM_THREADS", 0);
  if (threads <= 0) {
    cpu_set_t allowed;
    const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    const int64_t machine = sysconf(_SC_NPROCESSORS_ONLN);
    threads = cores_of_rank(known ? CPU_COUNT(&allowed) : machine, machine, local_ranks_of_launcher());
  }
  omp_set_num_threads(static_cast<int>(threads));
  return threads;
}

}  // namespace trireme::runtime
