// The program: parse, init, run, and the one catch. Everything that goes wrong anywhere ends here as one line with rank
// and host and as an exit code; the other ranks of the job are then ended too.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "launch/command_table.h"
#include "runtime/communicator.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/openmp_waiting.h"

namespace {

using namespace trireme;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr auto kPatience = std::chrono::seconds(1);

/// This process's rank by the launcher's word, before MPI is initialised: mpirun's, PMIx's or srun's.
int rank_of_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    if (const char* text = std::getenv(name)) return std::atoi(text);
  }
  return 0;
}

int print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) runtime::log_error("cannot write to standard output");
  return written ? 0 : kFailed;
}

int run(const launch::Invocation& invocation) {
  const auto world = runtime::solo_communicator();
  runtime::set_log_rank(world->rank(), world->size());
  if (invocation.alone && world->size() > 1)
    throw runtime::Error(runtime::ErrorKind::usage, invocation.command + " runs on one rank, got " +
                                                        std::to_string(world->size()) +
                                                        "; start it without mpirun or srun");
  return invocation.run(*world);
}

}  // namespace

int main(int argc, char** argv) {
  runtime::restart_with_short_openmp_spin(argv);
  launch::Invocation invocation;
  try {
    invocation = launch::parse_invocation({argv + 1, argv + argc});
  } catch (const runtime::Error& error) {
    // All ranks were given the same words: rank 0 says it, the others stay until the launcher ends them for its sake.
    if (rank_of_launcher() == 0)
      runtime::log_error(error.what());
    else
      std::this_thread::sleep_for(kPatience);
    return kUsage;
  }
  if (!invocation.text.empty()) return rank_of_launcher() == 0 ? print(invocation.text) : 0;
  try {
    return run(invocation);
  } catch (const runtime::Error& error) {
    runtime::log_error(error.what());
    return error.kind() == runtime::ErrorKind::usage ? kUsage : kFailed;
  } catch (const std::bad_alloc&) {
    runtime::log_error("out of memory");
  } catch (const std::exception& error) {
    runtime::log_error(error.what());
  }
  return kFailed;
}
