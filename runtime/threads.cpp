#include "runtime/threads.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <cblas.h>
#include <omp.h>

namespace trireme::runtime {
namespace {

int64_t whole_from_environment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  return error == std::errc() && value > 0 ? value : otherwise;
}

}  // namespace

int compute_threads() {
  return omp_get_max_threads();
}

void set_compute_threads(int threads) {
  assert(threads >= 1);
  omp_set_num_threads(threads);
}

int64_t local_ranks() {
  return whole_from_environment("OMPI_COMM_WORLD_LOCAL_SIZE", whole_from_environment("MPI_LOCALNRANKS", 1));
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
    threads = cores_of_rank(known ? CPU_COUNT(&allowed) : machine, machine, local_ranks());
  }
  set_compute_threads(static_cast<int>(threads));
  openblas_set_num_threads(static_cast<int>(threads));
  return threads;
}

}  // namespace trireme::runtime
