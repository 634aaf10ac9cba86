// Saving and pruning while any one file call fails, or that call and all after it (which is also what a writer that
// dies there leaves): the steps that can be loaded are then the old ones, or the old ones and the new one, bit for bit.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "checkpoint/load.h"
#include "checkpoint/retention.h"
#include "checkpoint/save.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::real_files;
using tests::Cut;
using tests::FailingFiles;
using tests::RankState;
using tests::save_sample;
using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;

// Every sample here has its step as seed.
bool is_whole(const std::string& step, uint32_t seed) {
  if (!verify(real_files(), step).empty()) return false;
  RankState state(Cut::columns, 0, 1);
  load(real_files(), step, read_manifest(real_files(), step), state.slices);
  return state.holds(seed);
}

Steps whole_steps(const std::string& directory) {
  Steps steps = committed_steps(real_files(), directory);
  std::erase_if(steps,
                [&](int64_t step) { return !is_whole(step_directory(directory, step), static_cast<uint32_t>(step)); });
  return steps;
}

bool has_debris(const std::string& directory) {
  for (const std::string& name : tests::entries(directory)) {
    if (name.find(".tmp-") != std::string::npos || name.starts_with("trash-")) return true;
  }
  return false;
}

struct Trial {
  std::string directory;
  std::string message;  ///< what was thrown; empty: nothing
  bool for_good = false;
  bool injected = false;  ///< whether a call failed
};

// Lets the k-th file call of `act` fail, for k = 0, 1, ... until it has no k-th, each time on a copy of `before`.
// Returns the number of calls.
int64_t fail_each_call(const std::string& before, const std::function<void(runtime::Files&, const std::string&)>& act,
                       const std::function<void(const Trial&)>& check) {
  int64_t calls = 0;
  for (bool for_good : {false, true}) {
    for (int64_t k = 0;; ++k) {
      const tests::TemporaryDirectory directory;
      std::filesystem::copy(before, directory.path(), std::filesystem::copy_options::recursive);
      FailingFiles files(k, for_good);
      Trial trial{.directory = directory.path(), .message = "", .for_good = for_good};
      testing::internal::CaptureStderr();
      try {
        act(files, directory.path());
      } catch (const Error& error) {
        trial.message = error.what();
        EXPECT_EQ(error.kind(), ErrorKind::io) << trial.message;
      }
      testing::internal::GetCapturedStderr();
      trial.injected = files.accesses() > k;
      SCOPED_TRACE("call " + std::to_string(k) + (for_good ? " and all after it: " : ": ") + trial.message);
      EXPECT_TRUE(!trial.injected || !trial.message.empty()) << "a failure was swallowed";
      check(trial);
      calls = k;
      if (!trial.injected) break;
    }
  }
  return calls;
}

// Saves step 2 with seed 2 as `ranks` ranks; only `failing_rank` has the files that fail. All must throw the same.
void save_second(runtime::Files& files, const std::string& directory, int ranks, int failing_rank) {
  std::vector<std::string> messages(static_cast<size_t>(ranks));
  runtime::run_local_ranks(ranks, [&](runtime::Communicator& communicator) {
    const int rank = communicator.rank();
    RankState state(Cut::rows, rank, ranks);
    state.fill(2);
    try {
      save(rank == failing_rank ? files : real_files(), communicator, tests::sample_request(directory, 2, 2, state));
    } catch (const Error& error) {
      messages[static_cast<size_t>(rank)] = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::io);
    }
  });
  for (const std::string& message : messages) EXPECT_EQ(message, messages[0]);
  if (!messages[0].empty()) throw Error(ErrorKind::io, messages[0]);
}

void check_save(const Trial& trial) {
  const bool committed =
      trial.message.empty() ||
      trial.message.find("step 2 is committed, but may not survive a power loss: ") != std::string::npos;
  EXPECT_TRUE(committed || trial.message.find("step 2 was not saved: ") != std::string::npos);
  EXPECT_EQ(whole_steps(trial.directory), committed ? (Steps{1, 2}) : Steps{1});
  if (!trial.for_good) {
    EXPECT_FALSE(has_debris(trial.directory));
  }
  save_sample(trial.directory, 3, 3);
  EXPECT_EQ(whole_steps(trial.directory), committed ? (Steps{1, 2, 3}) : (Steps{1, 3}));
  EXPECT_FALSE(has_debris(trial.directory));
}

TEST(Commit, ASaveIsThereOrNotWhateverCallFails) {
  const tests::TemporaryDirectory before;
  save_sample(before.path(), 1, 1);
  for (int ranks : {1, 2}) {
    for (int failing_rank = 0; failing_rank < ranks; ++failing_rank) {
      int64_t only_commits_not_durable = 0;
      const int64_t calls = fail_each_call(
          before.path(),
          [&](runtime::Files& files, const std::string& directory) {
            save_second(files, directory, ranks, failing_rank);
          },
          [&](const Trial& trial) {
            check_save(trial);
            only_commits_not_durable += trial.message.find("is committed, but") != std::string::npos;
          });
      EXPECT_GT(calls, failing_rank == 0 ? 20 : 3);  // rank 1 opens its shard, syncs it, opens it and reads it
      EXPECT_EQ(only_commits_not_durable, failing_rank == 0 ? 2 : 0) << "the last sync, in both ways of failing";
    }
  }
}

// Notes which directories are synced, and what is committed at that time.
class SyncedFiles : public FailingFiles {
 public:
  SyncedFiles() : FailingFiles(-1, false) {}
  void sync_directory(const std::string& path) override {
    FailingFiles::sync_directory(path);
    synced.push_back(path + (committed_steps(real_files(), path).empty() ? "" : " with a step"));
  }
  Names synced;
};

// checkpoints/ may have been made by a process that died before it synced the run's directory.
TEST(Commit, TheDirectoryOfAFirstSaveIsMadeDurableBeforeItAndTheRenameAfterIt) {
  const tests::TemporaryDirectory run;
  for (const char* spelling : {"/checkpoints", "/other/"}) {
    const std::string checkpoints = run.path() + spelling;
    real_files().make_directory(checkpoints);
    SyncedFiles files;
    save_second(files, checkpoints, 1, 0);
    const Names expected{run.path(), checkpoints, checkpoints + "/step-000000002.tmp-1", checkpoints + " with a step"};
    EXPECT_EQ(files.synced, expected);
  }
}

TEST(Commit, AFirstSaveIsThereOrNotWhateverCallFails) {
  const tests::TemporaryDirectory before;
  fail_each_call(
      before.path(),
      [](runtime::Files& files, const std::string& directory) { save_second(files, directory + "/new", 1, 0); },
      [](const Trial& trial) {
        const bool committed = trial.message.find("was not saved") == std::string::npos;
        EXPECT_EQ(whole_steps(trial.directory + "/new"), committed ? Steps{2} : Steps{});
      });
}

TEST(Commit, ADamagedStepInTheWayIsNeverLost) {
  const tests::TemporaryDirectory before;
  save_sample(before.path(), 1, 1);
  save_sample(before.path(), 2, 9);
  const std::string step = step_directory(before.path(), 2);
  tests::flip_bit(step + "/shard-00000-of-00001.h5", 8 * read_manifest(real_files(), step).slices[0].offset_bytes);
  const std::string damaged = read_text(real_files(), step + "/shard-00000-of-00001.h5");
  fail_each_call(
      before.path(), [](runtime::Files& files, const std::string& directory) { save_second(files, directory, 1, 0); },
      [&](const Trial& trial) {
        const bool saved = trial.message.find("was not saved") == std::string::npos;
        EXPECT_EQ(whole_steps(trial.directory), saved ? (Steps{1, 2}) : Steps{1});
        const std::string aside = trial.directory + "/aside-step-000000002";
        const std::string place = real_files().exists(aside) ? aside : step_directory(trial.directory, 2);
        EXPECT_EQ(read_text(real_files(), place + "/shard-00000-of-00001.h5"), damaged);
        EXPECT_TRUE(!saved || place == aside);
      });
}

TEST(Commit, AGoodStepInTheWayStaysInItsPlace) {
  const tests::TemporaryDirectory before;
  save_sample(before.path(), 1, 1);
  save_sample(before.path(), 2, 2);
  const int64_t calls = fail_each_call(
      before.path(), [](runtime::Files& files, const std::string& directory) { save_second(files, directory, 1, 0); },
      [](const Trial& trial) {
        EXPECT_NE(trial.message.find("was not saved"), std::string::npos);
        EXPECT_EQ(whole_steps(trial.directory), (Steps{1, 2}));
        EXPECT_EQ(tests::entries(trial.directory), (Names{"step-000000001", "step-000000002"}));
      });
  EXPECT_GT(calls, 6);  // up to the end of verify
}

TEST(Commit, DeletionsBeginWithTheOldestAndLeaveWholeSteps) {
  const tests::TemporaryDirectory before;
  for (int64_t step : {1, 2, 3}) save_sample(before.path(), step, static_cast<uint32_t>(step));
  const int64_t calls = fail_each_call(
      before.path(), [](runtime::Files& files, const std::string& directory) { keep_last(files, directory, 1); },
      [](const Trial& trial) {
        const Steps committed = committed_steps(real_files(), trial.directory);
        EXPECT_EQ(whole_steps(trial.directory), committed) << "half a step behind a committed name";
        EXPECT_TRUE(committed == (Steps{1, 2, 3}) || committed == (Steps{2, 3}) || committed == Steps{3});
        if (trial.message.empty()) {
          EXPECT_EQ(tests::entries(trial.directory), Names{"step-000000003"});
        }
        keep_last(real_files(), trial.directory, 1);
        save_sample(trial.directory, 4, 4);
        EXPECT_EQ(tests::entries(trial.directory), (Names{"step-000000003", "step-000000004"}));
      });
  EXPECT_GT(calls, 10);  // list, and for both steps: exists, remove, rename, sync, remove
}

TEST(Commit, StepsGoAsideFromTheNewestAndNothingIsLost) {
  const tests::TemporaryDirectory before;
  for (int64_t step : {1, 2, 3}) save_sample(before.path(), step, static_cast<uint32_t>(step));
  const int64_t calls = fail_each_call(
      before.path(), [](runtime::Files& files, const std::string& directory) { set_aside_newer(files, directory, 1); },
      [](const Trial& trial) {
        const Steps whole = whole_steps(trial.directory);
        EXPECT_TRUE(whole == (Steps{1, 2, 3}) || whole == (Steps{1, 2}) || whole == Steps{1});
        if (trial.message.empty()) {
          EXPECT_EQ(whole, Steps{1});
        }
        set_aside_newer(real_files(), trial.directory, 1);
        EXPECT_EQ(tests::entries(trial.directory),
                  (Names{"aside-step-000000002", "aside-step-000000003", "step-000000001"}));
        EXPECT_TRUE(is_whole(trial.directory + "/aside-step-000000002", 2));
        EXPECT_TRUE(is_whole(trial.directory + "/aside-step-000000003", 3));
      });
  EXPECT_GT(calls, 8);  // list, and for both steps: exists twice, rename, sync
}

}  // namespace
}  // namespace trireme::checkpoint
