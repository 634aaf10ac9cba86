// Power is lost at any file call while steps are set aside or deleted, or while a start sweeps what another was setting
// aside: afterwards each step is committed or aside, whole; of one that was being deleted there is all or nothing.
#include <gtest/gtest.h>

#include <functional>

#include "checkpoint/attempt.h"
#include "checkpoint/load.h"
#include "checkpoint/retention.h"
#include "checkpoint/save_parts.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/verify.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/memory_files.h"

namespace trireme::checkpoint {
namespace {

using runtime::Files;
using tests::Crash;
using tests::Cut;
using tests::FailingFiles;
using tests::Fault;
using tests::MemoryFiles;
using tests::RankState;

constexpr const char* kDirectory = "run/checkpoints";

/// Every sample here has its step as seed.
void save_step(Files& files, int64_t step, int64_t attempt) {
  RankState state(Cut::rows, 0, 1);
  state.fill(static_cast<uint32_t>(step));
  const SaveRequest request{
      .checkpoints_directory = kDirectory, .step = step, .run_id = "power", .attempt = attempt, .slices = state.slices};
  prepare_save(files, request);
  tests::ViewBytes bytes(request.slices);
  const std::vector<std::string> reports{write_part(files, request, "shard-00000-of-00001.h5", bytes)};
  commit_save(files, request, reports);
  settle_commit(files, request);
}

/// Steps 1, 2 and 3 of attempt 1, durably.
void begin_run(Files& files) {
  ASSERT_EQ(claim_attempt(files, kDirectory, "one"), 1);
  for (int64_t step : {1, 2, 3}) save_step(files, step, 1);
}

bool is_whole(Files& files, const std::string& path, int64_t step) {
  if (!verify(files, path).empty()) return false;
  RankState state(Cut::columns, 0, 1);
  load(files, path, read_manifest(files, path), state.slices);
  return state.holds(static_cast<uint32_t>(step));
}

/// What the next start makes of a disk after a crash: whatever it has of a step is whole, and it has those up to
/// `never_lost`.
void check_next_start(Files& files, int64_t never_lost) {
  claim_attempt(files, kDirectory, "the next start");
  for (int64_t step : {1, 2, 3}) {
    bool found = false;
    for (const std::string& path :
         {step_directory(kDirectory, step), std::string(kDirectory) + "/aside-" + step_name(step)}) {
      if (!files.exists(path)) continue;
      EXPECT_TRUE(is_whole(files, path, step)) << path;
      found = true;
    }
    EXPECT_TRUE(found || step > never_lost) << "step " << step << " is lost";
  }
}

struct Crashes {
  int64_t never_lost;  ///< steps up to it are there in the end
  uint64_t seeds = 12;
};

/// Lets the power go before and after each call of `act`, in every way; returns the number of crashes.
int64_t crash_at_each_call(MemoryFiles& before, const std::function<void(Files&)>& act, const Crashes& wanted) {
  int64_t crashes = 0;
  for (Fault fault : {Fault::die, Fault::die_after}) {
    bool died = true;
    for (int64_t call = 0; died && !testing::Test::HasFailure(); ++call) {
      const std::unique_ptr<MemoryFiles> disk = before.copy();
      FailingFiles files({.call = call, .fault = fault}, *disk);
      died = false;
      try {
        act(files);
      } catch (const tests::ProcessDied&) {
        died = true;
      }
      for (uint64_t seed = 0; seed < wanted.seeds + 2; ++seed, ++crashes) {
        const Crash crash = seed == 0 ? Crash::process_death : seed == 1 ? Crash::power_loss : Crash::power_loss_mixed;
        SCOPED_TRACE((died ? files.injected() : "after the end") + ", seed " + std::to_string(seed));
        check_next_start(*disk->after(crash, seed), wanted.never_lost);
      }
    }
  }
  return crashes;
}

TEST(PowerLoss, SettingAsideLosesNoStep) {
  MemoryFiles disk;
  begin_run(disk);
  const auto act = [](Files& files) { set_aside_newer(files, kDirectory, 1, 1); };
  EXPECT_GT(crash_at_each_call(disk, act, {.never_lost = 3}), 400);
}

TEST(PowerLoss, ADeletionLeavesAllOrNothing) {
  MemoryFiles disk;
  begin_run(disk);
  const auto act = [](Files& files) { discard_step(files, kDirectory, 3, 1); };
  EXPECT_GT(crash_at_each_call(disk, act, {.never_lost = 2}), 200);
}

TEST(PowerLoss, ASweepOfWhatWasGoingAsideLosesNoStep) {
  MemoryFiles disk;
  begin_run(disk);
  const std::string own = path_of_attempt(std::string(kDirectory) + "/aside-" + step_name(3), 1);
  disk.make_directory(own);
  disk.rename(step_directory(kDirectory, 3), own + "/" + step_name(3));
  disk.sync_directory(own);
  disk.sync_directory(kDirectory);
  const auto act = [](Files& files) { claim_attempt(files, kDirectory, "two"); };
  EXPECT_GT(crash_at_each_call(disk, act, {.never_lost = 3}), 400);
}

/// The start that sets aside dies at any call, and power is lost at any call of the next one's claim.
TEST(PowerLoss, AClaimAfterADeathLosesNoStep) {
  MemoryFiles before;
  begin_run(before);
  int64_t crashes = 0;
  for (int64_t call = 0; !HasFailure(); ++call) {
    const std::unique_ptr<MemoryFiles> disk = before.copy();
    FailingFiles dying({.call = call, .fault = Fault::die}, *disk);
    try {
      set_aside_step(dying, kDirectory, 3, 1);
      break;
    } catch (const tests::ProcessDied&) {
    }
    SCOPED_TRACE("died at " + dying.injected());
    crashes += crash_at_each_call(*disk, [](Files& files) { claim_attempt(files, kDirectory, "two"); },
                                  {.never_lost = 3, .seeds = 4});
  }
  EXPECT_GT(crashes, 500);
}

/// Of a failed deletion or setting aside the same attempt's next save takes care.
TEST(PowerLoss, ASaveAfterAFailedSettingAsideLosesNoStep) {
  MemoryFiles before;
  begin_run(before);
  for (int64_t call = 0;; ++call) {
    const std::unique_ptr<MemoryFiles> disk = before.copy();
    FailingFiles failing({.call = call, .fault = Fault::io_error}, *disk);
    try {
      set_aside_step(failing, kDirectory, 3, 1);
    } catch (const runtime::Error&) {
    }
    if (failing.injected().empty()) break;
    SCOPED_TRACE(failing.injected());
    save_step(*disk, 4, 1);
    for (Crash crash : {Crash::power_loss, Crash::power_loss_mixed}) check_next_start(*disk->after(crash), 3);
  }
}

}  // namespace
}  // namespace trireme::checkpoint
