// Which process may train a run. RUN.lock is the friendly first check: among processes that see each other's locks the
// second is refused before it changes anything. The claim of an attempt number (checkpoint/attempt.h) is what protects
// the run from those that see no lock: whoever claims later goes on, whoever was replaced ends at its next save or line
// of the log. A job that Slurm requeued may meet its own first incarnation, cut off but alive: it takes over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/communicator.h"
#include "runtime/file_lock.h"
#include "runtime/files.h"

namespace trireme::launch {

/// "process 1234 on HOST", and of a Slurm job ", Slurm job 77, restart 1" (SLURM_JOB_ID, SLURM_RESTART_COUNT).
std::string run_owner();

/// Whether `mine` is of the same Slurm job as `other`, restarted more often.
bool is_restart_of(const std::string& mine, const std::string& other);

/// First rank: RUN/checkpoints/RUN.lock, to be held for as long as it trains, and held by nobody once that process is
/// dead. Throws Error(usage) naming the owner when another has it, unless that is an earlier start of the same Slurm
/// job: its lock is then replaced, with a warning.
runtime::FileLock lock_run(runtime::Files& files, const std::string& run);
/// Collective: the first rank has it; throws on all what the first one would.
std::optional<runtime::FileLock> lock_run(runtime::Files& files, runtime::Communicator& world, const std::string& run);

/// Collective, by one who has the lock; before the newest checkpoint is looked for. Throws on all ranks what fails on
/// the first. Returns the attempt number.
int64_t claim_run(runtime::Files& files, runtime::Communicator& world, const std::string& run);

}  // namespace trireme::launch
