// What the sweep (sweep_test.cpp) does not meet, with any one file call failing, or that call and all after it (which
// is also what a writer that dies there leaves): the first save of a run, a step that is in the way of its like,
// several steps that go at once; and what is synced before what. On a disk in memory.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>

#include "checkpoint/attempt.h"
#include "checkpoint/load.h"
#include "checkpoint/retention.h"
#include "checkpoint/save.h"
#include "checkpoint/verify.h"
#include "runtime/communicator.h"
#include "runtime/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/memory_files.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::Files;
using tests::Cut;
using tests::FailingFiles;
using tests::MemoryFiles;
using tests::RankState;
using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;

constexpr int64_t kAttempt = 1;
const std::string kDirectory = "run/checkpoints";
const std::string kShard = "/shard-00000-of-00001.h5";

void save_step(Files& files, int64_t step, uint32_t seed, const std::string& directory = kDirectory) {
  RankState state(Cut::rows, 0, 1);
  state.fill(seed);
  save(files, *runtime::solo_communicator(),
       {.checkpoints_directory = directory,
        .step = step,
        .run_id = "commit",
        .attempt = kAttempt,
        .retention = {},
        .slices = state.slices});
}

/// A run whose first start claimed its attempt and saved these steps; each has its number as seed.
std::unique_ptr<MemoryFiles> disk_with(const Steps& steps) {
  auto disk = std::make_unique<MemoryFiles>();
  disk->make_directory(kDirectory);
  EXPECT_EQ(claim_attempt(*disk, kDirectory, "the first start"), kAttempt);
  for (int64_t step : steps) save_step(*disk, step, static_cast<uint32_t>(step));
  return disk;
}

bool is_whole(Files& disk, const std::string& directory, int64_t step) {
  if (!verify(disk, directory).empty()) return false;
  RankState state(Cut::columns, 0, 1);
  load(disk, directory, read_manifest(disk, directory), state.slices);
  return state.holds(static_cast<uint32_t>(step));
}

Steps whole_steps(Files& disk) {
  Steps steps = committed_steps(disk, kDirectory);
  std::erase_if(steps, [&](int64_t step) { return !is_whole(disk, step_directory(kDirectory, step), step); });
  return steps;
}

/// All but claims.
Names entries(Files& disk) {
  Names names = disk.list(kDirectory);
  std::erase_if(names, [](const std::string& name) { return name.starts_with("RUN.attempt-"); });
  return names;
}

struct Trial {
  Files& disk;          ///< what is there now
  std::string message;  ///< what was thrown; empty: nothing
};

/// Lets the k-th file call of `act` fail, for k = 0, 1, ... until it has no k-th, each time on a copy of `before`.
/// Returns the number of calls.
int64_t fail_each_call(MemoryFiles& before, const std::function<void(Files&)>& act,
                       const std::function<void(const Trial&)>& check) {
  int64_t calls = 0;
  for (bool for_good : {false, true}) {
    bool injected = true;
    for (int64_t call = 0; injected; ++call) {
      const std::unique_ptr<MemoryFiles> disk = before.copy();
      FailingFiles files({.call = call, .for_good = for_good}, *disk);
      Trial trial{.disk = *disk, .message = ""};
      testing::internal::CaptureStderr();
      try {
        act(files);
      } catch (const Error& error) {
        trial.message = error.what();
        EXPECT_EQ(error.kind(), ErrorKind::io) << trial.message;
      }
      testing::internal::GetCapturedStderr();
      injected = !files.injected().empty();
      SCOPED_TRACE(files.injected() + (for_good ? " and all after it: " : ": ") + trial.message);
      EXPECT_TRUE(!injected || !trial.message.empty()) << "a failure was swallowed";
      check(trial);
      calls = call;
    }
  }
  return calls;
}

bool says(const Trial& trial, const char* words) {
  return trial.message.find(words) != std::string::npos;
}

TEST(Commit, AFirstSaveIsThereOrNotWhateverCallFails) {
  int64_t only_not_durable = 0;
  const int64_t calls = fail_each_call(
      *disk_with({}), [](Files& files) { save_step(files, 2, 2); },
      [&](const Trial& trial) {
        const bool is_unsettled = says(trial, "step 2 is committed, but may not survive a power loss: ");
        const bool is_committed = trial.message.empty() || is_unsettled;
        EXPECT_TRUE(is_committed || says(trial, "step 2 was not saved: "));
        EXPECT_EQ(whole_steps(trial.disk), is_committed ? Steps{2} : Steps{});
        save_step(trial.disk, 3, 3);
        EXPECT_EQ(entries(trial.disk),
                  is_committed ? (Names{"step-000000002", "step-000000003"}) : Names{"step-000000003"});
        only_not_durable += is_unsettled ? 1 : 0;
      });
  EXPECT_GT(calls, 20);
  EXPECT_EQ(only_not_durable, 2) << "the last sync, in both ways of failing";
}

/// Notes which directories are synced, and what is committed at that time.
class SyncedFiles : public FailingFiles {
 public:
  explicit SyncedFiles(Files& below) : FailingFiles({}, below), below_(below) {}
  void sync_directory(const std::string& path) override {
    FailingFiles::sync_directory(path);
    synced.push_back(path + (committed_steps(below_, path).empty() ? "" : " with a step"));
  }
  Names synced;

 private:
  Files& below_;
};

// checkpoints/ may have been made by a process that died before it synced the run's directory.
TEST(Commit, TheDirectoryOfAFirstSaveIsMadeDurableBeforeItAndTheRenameAfterIt) {
  for (const std::string& spelling : {kDirectory, kDirectory + "/"}) {
    const std::unique_ptr<MemoryFiles> disk = disk_with({});
    SyncedFiles files(*disk);
    save_step(files, 2, 2, spelling);
    const Names expected{"run", spelling, step_directory(spelling, 2) + ".tmp-1", spelling + " with a step"};
    EXPECT_EQ(files.synced, expected);
  }
}

TEST(Commit, ADamagedStepInTheWayIsNeverLost) {
  const std::unique_ptr<MemoryFiles> before = disk_with({1, 2});
  const std::string step = step_directory(kDirectory, 2);
  std::string damaged = read_text(*before, step + kShard);
  damaged[static_cast<size_t>(read_manifest(*before, step).slices[0].offset_bytes)] ^= 1;
  write_text_atomically(*before, step + kShard, damaged);
  fail_each_call(
      *before, [](Files& files) { save_step(files, 2, 2); },
      [&](const Trial& trial) {
        const bool saved = !says(trial, "was not saved");
        EXPECT_EQ(whole_steps(trial.disk), saved ? (Steps{1, 2}) : Steps{1});
        sweep(trial.disk, kDirectory, kAttempt);  // it may have been on the way from one place to the other
        const std::string aside = kDirectory + "/aside-step-000000002";
        const std::string place = trial.disk.exists(aside) ? aside : step;
        EXPECT_TRUE(!saved || place == aside);
        EXPECT_EQ(read_text(trial.disk, place + kShard), damaged);
      });
}

TEST(Commit, AGoodStepInTheWayStaysInItsPlace) {
  const int64_t calls = fail_each_call(
      *disk_with({1, 2}), [](Files& files) { save_step(files, 2, 2); },
      [](const Trial& trial) {
        EXPECT_TRUE(says(trial, "was not saved"));
        EXPECT_EQ(whole_steps(trial.disk), (Steps{1, 2}));
        EXPECT_EQ(entries(trial.disk), (Names{"step-000000001", "step-000000002"}));
      });
  EXPECT_GT(calls, 6);  // up to the end of verify
}

TEST(Commit, DeletionsBeginWithTheOldestAndLeaveWholeSteps) {
  const auto prune = [](Files& files) {
    std::set<int64_t> good;
    retain(files, kDirectory, kAttempt, {.keep_last = 2}, good);
  };
  const int64_t calls = fail_each_call(*disk_with({1, 2, 3, 4}), prune, [&](const Trial& trial) {
    const Steps committed = committed_steps(trial.disk, kDirectory);
    EXPECT_EQ(whole_steps(trial.disk), committed) << "half a step behind a committed name";
    EXPECT_TRUE(committed == (Steps{1, 2, 3, 4}) || committed == (Steps{2, 3, 4}) || committed == (Steps{3, 4}));
    if (trial.message.empty()) {
      EXPECT_EQ(entries(trial.disk), (Names{"step-000000003", "step-000000004"}));
    }
    prune(trial.disk);
    save_step(trial.disk, 5, 5);
    EXPECT_EQ(entries(trial.disk), (Names{"step-000000003", "step-000000004", "step-000000005"}));
  });
  EXPECT_GT(calls, 16);  // lists, two steps verified, and for two others: make, list, rename, sync, remove
}

TEST(Commit, StepsGoAsideFromTheNewestAndNothingIsLost) {
  const auto go_back = [](Files& files) { set_aside_newer(files, kDirectory, 1, kAttempt); };
  const int64_t calls = fail_each_call(*disk_with({1, 2, 3}), go_back, [&](const Trial& trial) {
    const Steps whole = whole_steps(trial.disk);
    EXPECT_TRUE(whole == (Steps{1, 2, 3}) || whole == (Steps{1, 2}) || whole == Steps{1});
    if (trial.message.empty()) {
      EXPECT_EQ(whole, Steps{1});
    }
    sweep(trial.disk, kDirectory, kAttempt);  // as each start and each save does
    go_back(trial.disk);
    EXPECT_EQ(entries(trial.disk), (Names{"aside-step-000000002", "aside-step-000000003", "step-000000001"}));
    EXPECT_TRUE(is_whole(trial.disk, kDirectory + "/aside-step-000000002", 2));
    EXPECT_TRUE(is_whole(trial.disk, kDirectory + "/aside-step-000000003", 3));
  });
  EXPECT_GT(calls, 8);  // list, and for both steps: exists twice, rename, sync
}

}  // namespace
}  // namespace trireme::checkpoint
