// The program: parse, init, run, and the one catch. Everything that goes wrong anywhere ends here as one line with rank
// and host and as an exit code; the other ranks of the job are then ended too.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "launch/command_table.h"
#include "launch/rank_agreement.h"
#include "runtime/communicator.h"
#include "runtime/error.h"
#include "runtime/host_name.h"
#include "runtime/log.h"
#include "runtime/mpi_session.h"
#include "runtime/processor.h"
#include "runtime/program_start.h"

namespace {

using namespace trireme;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
/// How long ranks other than 0 wait before they speak: of several with one story only rank 0 should live to tell it.
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kLauncherPatience = std::chrono::seconds(5);  // mpirun takes its time to end the others

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

/// The exit code of the exception that is being handled, after it has been logged. Of several ranks with the same story
/// rank 0 tells it: the others wait a moment, in which rank 0 ends the job if it has failed too.
int report(int rank, int world_size) {
  if (rank != 0) std::this_thread::sleep_for(kPatience);
  const std::string where = world_size > 1 ? " (on " + runtime::host_name() + ")" : "";
  try {
    throw;
  } catch (const runtime::Error& error) {
    runtime::log_error(error.what() + where);
    return error.kind() == runtime::ErrorKind::usage ? kUsage : kFailed;
  } catch (const std::bad_alloc&) {
    runtime::log_error("out of memory" + where);
  } catch (const std::exception& error) {
    runtime::log_error(error.what() + where);
  }
  return kFailed;
}

/// Exceptions are caught while the session lives: it ends the whole job, not only this rank.
int run(const launch::Invocation& invocation) {
  runtime::MpiSession session;
  runtime::Communicator& world = session.world();
  runtime::set_log_rank(world.rank(), world.size());
  try {
    if (invocation.writes_run) runtime::check_launcher_size(world.size());
    if (const auto difference = launch::difference_between_ranks(world, invocation.shared)) {
      // Every rank knows it and ends by itself: nobody is left waiting.
      if (world.rank() == 0) runtime::log_error(*difference);
      return kUsage;
    }
    if (!invocation.text.empty()) return world.rank() == 0 ? print(invocation.text) : 0;
    if (invocation.alone && world.size() > 1)
      throw runtime::Error(runtime::ErrorKind::usage, invocation.command + " runs on one rank, got " +
                                                          std::to_string(world.size()) +
                                                          "; start it without mpirun or srun");
    const int code = invocation.run(world);
    if (!std::cout.flush() || std::fflush(stdout) != 0)
      throw runtime::Error(runtime::ErrorKind::io, "cannot write to standard output");
    return code;
  } catch (...) {
    const int code = report(world.rank(), world.size());
    if (world.size() == 1) return code;
    session.abort(code);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Before the restart, which an emulator of another processor would let escape to the real one.
  const auto reason = runtime::why_not_here(runtime::processor_name(), runtime::instruction_sets());
  if (reason) {
    runtime::log_error(*reason);
    return kFailed;
  }
  runtime::restart_with_library_settings(argv);
  const int rank = rank_of_launcher();
  launch::Invocation invocation;
  try {
    invocation = launch::parse_invocation({argv + 1, argv + argc});
  } catch (...) {
    if (rank != 0) std::this_thread::sleep_for(kLauncherPatience);
    return report(0, 1);
  }
  // Under a launcher others may wait in MPI, told something else.
  if (!invocation.text.empty() && !runtime::started_by_launcher()) return rank == 0 ? print(invocation.text) : 0;
  try {
    return run(invocation);
  } catch (...) {  // MPI that does not start
    return report(rank, 1);
  }
}
