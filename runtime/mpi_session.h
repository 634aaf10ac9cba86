// The life of MPI in a program: opened at the top of main, before any other communicator. A program that no launcher
// started is a world of one and never touches MPI. One session per process (MPI allows no second).
#pragma once

#include <memory>

#include "runtime/communicator.h"
#include "runtime/message_engine.h"

namespace trireme::runtime {

class MpiSession {
 public:
  /// Initialises MPI (MPI_THREAD_FUNNELED) when a launcher started this process. `options` must be equal on all ranks.
  explicit MpiSession(const MessageOptions& options = {});
  /// Ends MPI in order; not while an exception passes or messages are in flight: then the process just ends, and the
  /// launcher ends the job.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  Communicator& world();
  /// This rank among those of its host.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  /// Ends the whole job with that exit code: for main's catch, after it has logged. Output is flushed.
  [[noreturn]] void abort(int code);

 private:
  bool initialised_ = false;
  int exceptions_at_start_ = 0;
  int local_rank_ = 0;
  int local_size_ = 1;
  std::unique_ptr<Communicator> world_;
};

/// True when the environment is that of mpirun or of srun with an MPI plugin.
bool started_by_launcher();

/// For commands that train or write a run: throws Error(usage) when the world is 1 but the launcher started more tasks,
/// which do not see each other (srun without --mpi=pmix) and would all write one directory.
void check_launcher_size(int world_size);

}  // namespace trireme::runtime
