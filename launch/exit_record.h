// RUN/exit.json: why a start of this run ended that asks to be started again (75, 76), for the script of a job: a
// launcher's own exit code says less (srun gives the highest of its tasks, 137 where it had to kill one). It is removed
// when a start begins, and fenced as all of a run's files are: a start that was replaced leaves it alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/files.h"

namespace trireme::launch {

inline constexpr int kRequeueExit = 75;

struct ExitRecord {
  int code = 0;
  std::string reason;      ///< one line
  std::vector<int> ranks;  ///< whose fault it was, where somebody's
  int64_t step = 0;        ///< the newest that was saved, 0: none
  int written_by = 0;      ///< rank; several may write one after the other, when they have lost rank 0
};

/// One member a line, so that a shell script can read it: "code", "reason", "ranks", "step", "written_by", "attempt",
/// "owner" (run_claim.h), "slurm_job_id" and "slurm_restart_count" where there are such. Appears whole. Does nothing when
/// `attempt` was replaced; throws Error(io). Any thread.
void write_exit_record(runtime::Files& files, const std::string& run, int64_t attempt, const ExitRecord& record);

/// When a start begins.
void remove_exit_record(runtime::Files& files, const std::string& run);

/// Whether that attempt has left one already.
bool has_exit_record(runtime::Files& files, const std::string& run, int64_t attempt);

}  // namespace trireme::launch
