#include "launch/run_claim.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/temporary_directory.h"

namespace trireme::launch {
namespace {

using runtime::FileLock;
using runtime::real_files;

/// SLURM_JOB_ID and SLURM_RESTART_COUNT while it lives; empty: not set.
class SlurmJob {
 public:
  SlurmJob(const std::string& job, const std::string& restart) {
    set("SLURM_JOB_ID", job);
    set("SLURM_RESTART_COUNT", restart);
  }
  ~SlurmJob() {
    set("SLURM_JOB_ID", "");
    set("SLURM_RESTART_COUNT", "");
  }
  SlurmJob(const SlurmJob&) = delete;
  SlurmJob& operator=(const SlurmJob&) = delete;

 private:
  static void set(const char* name, const std::string& value) {
    if (value.empty()) {
      unsetenv(name);
    } else {
      setenv(name, value.c_str(), 1);
    }
  }
};

std::string owner_in(const std::string& job, const std::string& restart) {
  const SlurmJob slurm(job, restart);
  return run_owner();
}

TEST(RunClaim, OwnersNameProcessHostAndJob) {
  EXPECT_EQ(owner_in("", ""), FileLock::this_process());
  EXPECT_EQ(owner_in("", "3"), FileLock::this_process());
  EXPECT_EQ(owner_in("77", ""), FileLock::this_process() + ", Slurm job 77, restart 0");
  EXPECT_EQ(owner_in("77_2", "1"), FileLock::this_process() + ", Slurm job 77_2, restart 1");
}

TEST(RunClaim, OnlyALaterStartOfTheSameJobIsARestart) {
  EXPECT_TRUE(is_restart_of(owner_in("77", "1"), owner_in("77", "")));
  EXPECT_TRUE(is_restart_of(owner_in("77", "10"), owner_in("77", "9")));
  EXPECT_FALSE(is_restart_of(owner_in("77", "1"), owner_in("77", "1")));
  EXPECT_FALSE(is_restart_of(owner_in("77", "1"), owner_in("77", "2")));
  EXPECT_FALSE(is_restart_of(owner_in("77", "1"), owner_in("7", "0")));
  EXPECT_FALSE(is_restart_of(owner_in("77", "1"), owner_in("", "")));
  EXPECT_FALSE(is_restart_of(owner_in("", ""), owner_in("77", "0")));
  for (const char* other : {"", "process 1 on a, Slurm job 77, restart x", "process 1 on a, Slurm job 77"}) {
    EXPECT_FALSE(is_restart_of(owner_in("77", "1"), other)) << other;
  }
}

/// Nothing when the lock is refused.
std::optional<FileLock> lock_in(const std::string& run, const std::string& job, const std::string& restart) {
  const SlurmJob slurm(job, restart);
  testing::internal::CaptureStderr();
  try {
    FileLock lock = lock_run(real_files(), run);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(log.empty() || log.find("an earlier start of this job: taking over from it") != std::string::npos)
        << log;
    return lock;
  } catch (const runtime::Error& error) {
    testing::internal::GetCapturedStderr();
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find(" is being trained by process "), std::string::npos) << error.what();
    return std::nullopt;
  }
}

TEST(RunClaim, ARestartReplacesTheLockAndOthersAreRefused) {
  const tests::TemporaryDirectory run;
  const std::optional<FileLock> first = lock_in(run.path(), "77", "");
  ASSERT_TRUE(first);
  EXPECT_FALSE(lock_in(run.path(), "", ""));
  EXPECT_FALSE(lock_in(run.path(), "78", "1"));
  EXPECT_FALSE(lock_in(run.path(), "77", ""));
  std::optional<FileLock> second = lock_in(run.path(), "77", "1");
  ASSERT_TRUE(second);
  EXPECT_EQ(FileLock::owner(run / "checkpoints/RUN.lock"), owner_in("77", "1"));
  EXPECT_FALSE(lock_in(run.path(), "77", "")) << "the first incarnation starts no second time";
  EXPECT_FALSE(lock_in(run.path(), "", "")) << "the first one's lock counts no more, the second one's does";
  second.reset();
  EXPECT_TRUE(lock_in(run.path(), "", ""));
}

TEST(RunClaim, AllRanksLearnTheNumberThatTheFirstClaims) {
  const tests::TemporaryDirectory run;
  for (int64_t expected : {1, 2}) {
    runtime::run_local_ranks(
        3, [&](runtime::Communicator& world) { EXPECT_EQ(claim_run(real_files(), world, run.path()), expected); });
  }
  EXPECT_EQ(read_text(real_files(), run / "checkpoints/RUN.attempt-000000002"), run_owner());
}

TEST(RunClaim, WhatTheFirstRankIsRefusedEndsAllRanks) {
  const tests::TemporaryDirectory run;
  const FileLock held = lock_run(real_files(), run.path());
  write_text_atomically(real_files(), run / "file", "");
  std::atomic<int> refused = 0;
  runtime::run_local_ranks(3, [&](runtime::Communicator& world) {
    try {
      lock_run(real_files(), world, run.path());
    } catch (const runtime::Error& error) {
      refused += error.kind() == runtime::ErrorKind::usage ? 1 : 0;
    }
    try {
      claim_run(real_files(), world, run / "file");
    } catch (const runtime::Error& error) {
      refused += error.kind() == runtime::ErrorKind::io ? 1 : 0;
    }
  });
  EXPECT_EQ(refused, 6);
}

}  // namespace
}  // namespace trireme::launch
