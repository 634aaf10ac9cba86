#include "launch/run_claim.h"

#include <charconv>
#include <cstdlib>
#include <optional>

#include "checkpoint/agreement.h"
#include "checkpoint/attempt.h"
#include "launch/run_directory.h"
#include "runtime/error.h"
#include "runtime/log.h"

namespace trireme::launch {
namespace {

constexpr std::string_view kJob = ", Slurm job ";
constexpr std::string_view kRestart = ", restart ";

struct JobStart {
  std::string job;
  int64_t restart = 0;
};

/// Nothing for an owner outside Slurm.
std::optional<JobStart> job_of(const std::string& owner) {
  const size_t job = owner.rfind(kJob);
  const size_t restart = owner.rfind(kRestart);
  if (job == std::string::npos || restart == std::string::npos || restart < job) return std::nullopt;
  const size_t begin = job + kJob.size();
  JobStart start{.job = owner.substr(begin, restart - begin)};
  const std::string count = owner.substr(restart + kRestart.size());
  const auto [end, code] = std::from_chars(count.data(), count.data() + count.size(), start.restart);
  if (code != std::errc() || end != count.data() + count.size()) return std::nullopt;
  return start;
}

}  // namespace

std::string run_owner() {
  std::string owner = runtime::FileLock::this_process();
  const char* job = std::getenv("SLURM_JOB_ID");
  if (job == nullptr || *job == '\0') return owner;
  const char* restart = std::getenv("SLURM_RESTART_COUNT");  // not set in a job's first start
  return owner + std::string(kJob) + job + std::string(kRestart) + (restart == nullptr ? "0" : restart);
}

bool is_restart_of(const std::string& mine, const std::string& other) {
  const std::optional<JobStart> my_start = job_of(mine);
  const std::optional<JobStart> other_start = job_of(other);
  return my_start && other_start && my_start->job == other_start->job && my_start->restart > other_start->restart;
}

std::optional<runtime::FileLock> lock_run(runtime::Files& files, runtime::Communicator& world, const std::string& run) {
  std::optional<runtime::FileLock> lock;
  const std::optional<checkpoint::Failure> failure = checkpoint::try_together(world, [&] {
    if (world.rank() == 0) lock = lock_run(files, run);
  });
  if (failure) throw runtime::Error(failure->kind, failure->reason);
  return lock;
}

runtime::FileLock lock_run(runtime::Files& files, const std::string& run) {
  const std::string checkpoints = RunDirectory(files, run).checkpoints_path();
  files.make_directory(checkpoints);
  const std::string path = checkpoints + "/RUN.lock";
  const std::string owner = run_owner();
  std::optional<runtime::FileLock> lock = runtime::FileLock::try_lock(path, owner);
  if (lock) return std::move(*lock);
  const std::string other = runtime::FileLock::owner(path);
  if (is_restart_of(owner, other)) {
    runtime::log_warning("--run " + run + " is still held by " + other +
                         ", an earlier start of this job: taking over from it");
    files.remove_all(path);  // the other keeps the lock of a file that has no name: nobody meets it any more
    lock = runtime::FileLock::try_lock(path, owner);
    if (lock) return std::move(*lock);
  }
  throw runtime::Error(runtime::ErrorKind::usage, "--run " + run + " is being trained by " +
                                                      runtime::FileLock::owner(path) +
                                                      "; wait for it, or choose another --run");
}

int64_t claim_run(runtime::Files& files, runtime::Communicator& world, const std::string& run) {
  std::string attempt;
  const std::optional<checkpoint::Failure> failure = checkpoint::try_together(world, [&] {
    if (world.rank() != 0) return;
    attempt =
        std::to_string(checkpoint::claim_attempt(files, RunDirectory(files, run).checkpoints_path(), run_owner()));
  });
  if (failure) throw runtime::Error(failure->kind, failure->reason);
  return std::stoll(runtime::all_gather_bytes(world, attempt).front());
}

}  // namespace trireme::launch
