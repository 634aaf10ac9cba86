#include "runtime/mpi_session.h"

#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "runtime/error.h"
#include "runtime/host_communicator.h"
#include "runtime/log.h"
#include "runtime/mpi_transport.h"

namespace trireme::runtime {
namespace {

void initialise() {
  int level = MPI_THREAD_SINGLE;
  const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
  if (code != MPI_SUCCESS || level < MPI_THREAD_FUNNELED) {
    throw Error(ErrorKind::peer,
                "MPI does not start with MPI_THREAD_FUNNELED (it offers level " + std::to_string(level) + ")");
  }
}

}  // namespace

MpiSession::MpiSession(const MessageOptions& options) : exceptions_at_start_(std::uncaught_exceptions()) {
  if (!started_by_launcher()) {
    world_ = solo_communicator();
    return;
  }
  initialise();
  initialised_ = true;
  MPI_Comm host = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
  MPI_Comm_rank(host, &local_rank_);
  MPI_Comm_size(host, &local_size_);
  MPI_Comm_free(&host);
  world_ = std::make_unique<HostCommunicator>(mpi_transport(), options);
}

MpiSession::~MpiSession() {
  const auto* host = static_cast<const HostCommunicator*>(world_.get());
  const bool in_order = std::uncaught_exceptions() == exceptions_at_start_ && !host->unsettled();
  if (!initialised_) return;
  if (!in_order) {
    log_warning("MPI is left open: messages are in flight or have failed");
    return;
  }
  world_.reset();
  MPI_Finalize();
}

Communicator& MpiSession::world() {
  return *world_;
}

void MpiSession::abort(int code) {
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
  if (initialised_) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

bool started_by_launcher() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(variable) != nullptr) return true;
  }
  return false;
}

void check_launcher_size(int world_size) {
  if (world_size != 1) return;
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr || std::atoi(value) <= 1) continue;
    throw Error(ErrorKind::usage, std::string(variable) + "=" + value +
                                      ", but the tasks do not see each other: start them with srun --mpi=pmix, or "
                                      "with the mpirun of the MPI this program is linked with");
  }
}

}  // namespace trireme::runtime
