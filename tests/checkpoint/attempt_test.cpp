// Starts of a run that overlap: the older one is paused between any two of its file calls, a newer one claims and
// saves, then the older one goes on.
#include "checkpoint/attempt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "checkpoint/load.h"
#include "checkpoint/retention.h"
#include "checkpoint/save_parts.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::real_files;
using tests::Cut;
using tests::RankState;
using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;

// The real files, but before its k-th call a caller stands still while `meanwhile` happens.
class PausedFiles : public tests::FailingFiles {
 public:
  PausedFiles(int64_t k, std::function<void()> meanwhile) : k_(k), meanwhile_(std::move(meanwhile)) {}
  bool paused() const { return calls() > k_; }

 private:
  void before_call() override {
    try {
      if (calls() == k_) meanwhile_();
    } catch (const Error& error) {
      ADD_FAILURE() << "the newer attempt failed: " << error.what();
    }
  }
  int64_t k_;
  std::function<void()> meanwhile_;
};

// A whole save by two ranks, all parts in this thread.
void save_parts(runtime::Files& files, const std::string& directory, int64_t attempt, int64_t step, uint32_t seed,
                const Retention& retention = {}) {
  std::vector<std::string> reports;
  std::vector<RankState> states;
  std::vector<SaveRequest> requests;
  for (int rank = 0; rank < 2; ++rank) {
    states.emplace_back(Cut::rows, rank, 2).fill(seed);
    requests.push_back(tests::sample_request(directory, step, seed, states.back()));
    requests.back().attempt = attempt;
    requests.back().retention = retention;
  }
  const Names names = shard_names(std::vector<int64_t>{1, 1});
  prepare_save(files, requests[0]);
  for (size_t rank = 0; rank < 2; ++rank) {
    tests::ViewBytes bytes(requests[rank].slices);
    reports.push_back(write_part(files, requests[rank], names[rank], bytes));
  }
  commit_save(files, requests[0], reports);
  settle_commit(files, requests[0]);
  std::set<int64_t> good;
  retain_after(files, requests[0], good);
}

// The seed that a step holds to the last bit; 0 when it is damaged.
uint32_t seed_of(const std::string& directory, int64_t step) {
  const std::string path = step_directory(directory, step);
  if (!verify(real_files(), path).empty()) return 0;
  const Manifest manifest = read_manifest(real_files(), path);
  RankState state(Cut::columns, 0, 1);
  load(real_files(), path, manifest, state.slices);
  const auto seed = static_cast<uint32_t>(manifest.state.at("seed").as_int64());
  return state.holds(seed) ? seed : 0;
}

std::string replaced_message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::peer) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Attempt, NumbersGoOnFromClaimsAndFromSavedSteps) {
  const tests::TemporaryDirectory directory;
  EXPECT_EQ(claim_attempt(real_files(), directory / "checkpoints", "first"), 1);
  EXPECT_EQ(claim_attempt(real_files(), directory / "checkpoints", "second"), 2);
  EXPECT_EQ(real_files().list(directory / "checkpoints"), Names{"RUN.attempt-000000002"});
  EXPECT_EQ(read_text(real_files(), directory / "checkpoints/RUN.attempt-000000002"), "second");
  for (const char* other : {"RUN.attempt-9", "RUN.attempt-00000000x", "RUN.attempt-0000000009"}) {
    write_text_atomically(real_files(), directory / "checkpoints/" + other, "");
  }
  save_parts(real_files(), directory / "checkpoints", 2, 1, 1);
  EXPECT_EQ(claim_attempt(real_files(), directory / "checkpoints", ""), 3);
  tests::claim_sample(directory / "copied", 41);
  save_parts(real_files(), directory / "copied", 41, 1, 1);
  real_files().remove_all(directory / "copied/RUN.attempt-000000041");  // checkpoints that were copied without claims
  EXPECT_EQ(claim_attempt(real_files(), directory / "copied", ""), 42);
}

TEST(Attempt, ClaimsThatRaceGetNumbersOfTheirOwn) {
  const tests::TemporaryDirectory directory;
  constexpr size_t kThreads = 8;
  constexpr int kRounds = 20;
  std::vector<std::vector<int64_t>> claimed(kThreads);
  {
    std::vector<std::jthread> threads;
    for (std::vector<int64_t>& mine : claimed) {
      threads.emplace_back([&mine, &directory] {
        for (int round = 0; round < kRounds; ++round) {
          mine.push_back(claim_attempt(real_files(), directory.path(), "a thread"));
        }
      });
    }
  }
  std::set<int64_t> numbers;
  for (const std::vector<int64_t>& mine : claimed) {
    EXPECT_TRUE(std::ranges::is_sorted(mine));
    numbers.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(numbers.size(), kThreads * kRounds);
  const int64_t newest = *numbers.rbegin();
  EXPECT_EQ(real_files().list(directory.path()).size(), 1u) << "only the newest claim is left";
  for (int64_t attempt : numbers) {
    const std::string message = replaced_message([&] { check_attempt(real_files(), directory.path(), attempt); });
    EXPECT_EQ(message == "no error", attempt == newest) << message;
  }
}

TEST(Attempt, AReplacedOnesSaveNamesTheNewerOneAndItsOwner) {
  const tests::TemporaryDirectory directory;
  ASSERT_EQ(claim_attempt(real_files(), directory.path(), "process 1 on a"), 1);
  save_parts(real_files(), directory.path(), 1, 1, 1);
  real_files().make_directory(directory / "step-000000002.tmp-1");
  ASSERT_EQ(claim_attempt(real_files(), directory.path(), "process 2 on b, Slurm job 7"), 2);
  EXPECT_EQ(real_files().list(directory.path()), (Names{"RUN.attempt-000000002", "step-000000001"}));
  const std::string expected =
      "attempt 1 of this run was replaced by attempt 2 (process 2 on b, Slurm job 7), which goes on from the newest "
      "checkpoint; this one ends";
  EXPECT_EQ(replaced_message([&] { save_parts(real_files(), directory.path(), 1, 2, 2); }), expected);
  EXPECT_EQ(replaced_message([&] { set_aside_newer(real_files(), directory.path(), 0, 1); }), expected);
  EXPECT_EQ(replaced_message([&] { discard_step(real_files(), directory.path(), 1, 1); }), expected);
  RankState state(Cut::rows, 0, 1);
  EXPECT_EQ(replaced_message([&] {
              save(real_files(), *runtime::solo_communicator(), tests::sample_request(directory.path(), 2, 2, state));
            }),
            "step 2 was not saved: " + expected);
  sweep(real_files(), directory.path(), 2);  // what the replaced one made and had to leave
  EXPECT_EQ(real_files().list(directory.path()), (Names{"RUN.attempt-000000002", "step-000000001"}));
}

TEST(Attempt, WithoutItsClaimItChangesNothing) {
  const tests::TemporaryDirectory run;
  const std::string checkpoints = run / "checkpoints";
  ASSERT_EQ(claim_attempt(real_files(), checkpoints, "process 1 on a"), 1);
  ASSERT_EQ(claim_attempt(real_files(), checkpoints, "process 2 on a"), 2);
  save_parts(real_files(), checkpoints, 2, 1, 1);
  std::filesystem::rename(checkpoints, run / "moved");
  ASSERT_EQ(claim_attempt(real_files(), checkpoints, "process 3 on b"), 1);  // made anew
  save_parts(real_files(), checkpoints, 1, 1, 3);
  const Names before = real_files().list(checkpoints);
  const std::string expected =
      "the claim " + checkpoints +
      "/RUN.attempt-000000002 is gone: the directory is no longer the one in which attempt 2 of "
      "this run began; this one ends";
  EXPECT_EQ(replaced_message([&] { save_parts(real_files(), checkpoints, 2, 2, 2); }), expected);
  EXPECT_EQ(replaced_message([&] { set_aside_newer(real_files(), checkpoints, 0, 2); }), expected);
  EXPECT_EQ(replaced_message([&] { discard_step(real_files(), checkpoints, 1, 2); }), expected);
  sweep(real_files(), checkpoints, 2);
  EXPECT_EQ(real_files().list(checkpoints), before);
  EXPECT_EQ(seed_of(checkpoints, 1), 3u);
}

TEST(Attempt, ASweepThatWasCutShortIsEndedByTheNext) {
  const tests::TemporaryDirectory before;
  ASSERT_EQ(claim_attempt(real_files(), before.path(), "one"), 1);
  for (int64_t step : {1, 2}) save_parts(real_files(), before.path(), 1, step, static_cast<uint32_t>(step));
  for (const char* prefix : {"trash-step-000000001", "aside-step-000000002"}) {
    const std::string own = before.path() + "/" + prefix + ".tmp-1";
    real_files().make_directory(own);
    const std::string step = std::string(prefix).substr(6);
    real_files().rename(before / step, own + "/" + step);
  }
  int64_t cuts = 0;
  for (bool happened = true; happened; ++cuts) {
    const tests::TemporaryDirectory directory;
    std::filesystem::copy(before.path(), directory.path(), std::filesystem::copy_options::recursive);
    tests::FailingFiles files({.call = cuts, .fault = tests::Fault::die});
    happened = false;
    try {
      claim_attempt(files, directory.path(), "two");
    } catch (const tests::ProcessDied&) {
      happened = true;
    }
    SCOPED_TRACE("died at call " + std::to_string(cuts));
    claim_attempt(real_files(), directory.path(), "three");
    EXPECT_EQ(tests::entries(directory.path()), Names{"aside-step-000000002"});
    EXPECT_EQ(verify(real_files(), directory / "aside-step-000000002"), Names{});
  }
  EXPECT_GT(cuts, 15);
}

struct Outcome {
  Steps found_good;   ///< committed and whole when attempt 2 had claimed
  bool was_replaced;  ///< attempt 1 ended with an error
};

// Drives attempt 1 through `act`, pausing it before each of its file calls in turn, each time on a copy of what `begin`
// made; attempt 2 then claims, goes on from step 1 and saves the next ones with other bits. `after` sees what is left.
// Returns the number of calls.
int64_t pause_before_each_call(const std::function<void(const std::string&)>& begin,
                               const std::function<void(runtime::Files&, const std::string&)>& act,
                               const std::function<void(const std::string&, const Outcome&)>& after) {
  const tests::TemporaryDirectory before;
  EXPECT_EQ(claim_attempt(real_files(), before.path(), "one"), 1);
  begin(before.path());
  for (int64_t k = 0;; ++k) {
    const tests::TemporaryDirectory directory;
    std::filesystem::copy(before.path(), directory.path(), std::filesystem::copy_options::recursive);
    Outcome outcome{};
    PausedFiles files(k, [&] {
      EXPECT_EQ(claim_attempt(real_files(), directory.path(), "two"), 2);
      for (int64_t step : committed_steps(real_files(), directory.path())) {
        if (seed_of(directory.path(), step) != 0) outcome.found_good.push_back(step);
      }
      set_aside_newer(real_files(), directory.path(), 1, 2);  // as --resume 1 would
      for (int64_t step : {2, 3})
        save_parts(real_files(), directory.path(), 2, step, 100 + static_cast<uint32_t>(step));
    });
    testing::internal::CaptureStderr();
    try {
      act(files, directory.path());
    } catch (const Error& error) {
      outcome.was_replaced = true;
    }
    testing::internal::GetCapturedStderr();
    if (!files.paused()) return k;
    SCOPED_TRACE("paused before call " + std::to_string(k));
    EXPECT_EQ(committed_steps(real_files(), directory.path()), (Steps{1, 2, 3}));
    for (int64_t step : {2, 3}) EXPECT_EQ(seed_of(directory.path(), step), 100u + static_cast<uint32_t>(step));
    EXPECT_EQ(seed_of(directory.path(), 1), 1u);
    save_parts(real_files(), directory.path(), 2, 4, 104);  // sweeps what attempt 1 left when it had been replaced
    after(directory.path(), outcome);
    for (const std::string& name : tests::entries(directory.path())) {
      EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
      EXPECT_FALSE(name.starts_with("trash-")) << name;
    }
  }
}

TEST(Attempt, APausedSaveCommitsBeforeItIsReplacedOrNever) {
  const int64_t calls = pause_before_each_call(
      [](const std::string& directory) { save_parts(real_files(), directory, 1, 1, 1); },
      [](runtime::Files& files, const std::string& directory) { save_parts(files, directory, 1, 2, 2); },
      [](const std::string&, const Outcome& outcome) {
        const bool committed = outcome.found_good == (Steps{1, 2});
        EXPECT_TRUE(committed || outcome.found_good == Steps{1});
        EXPECT_EQ(outcome.was_replaced, !committed);
      });
  EXPECT_GT(calls, 25);
}

// Its step 2 takes the place of a damaged one, which must not become attempt 2's good one.
TEST(Attempt, APausedSaveSetsAsideNothingOfANewerOne) {
  const int64_t calls = pause_before_each_call(
      [](const std::string& directory) {
        save_parts(real_files(), directory, 1, 1, 1);
        save_parts(real_files(), directory, 1, 2, 9);
      },
      [](runtime::Files& files, const std::string& directory) {
        real_files().remove_all(step_directory(directory, 2) + "/manifest.json");
        save_parts(files, directory, 1, 2, 2);
      },
      [](const std::string&, const Outcome&) {});
  EXPECT_GT(calls, 30);
}

TEST(Attempt, APausedDeletionTakesNothingOfANewerOne) {
  const int64_t calls = pause_before_each_call(
      [](const std::string& directory) {
        for (int64_t step : {1, 2, 3, 4, 5}) save_parts(real_files(), directory, 1, step, static_cast<uint32_t>(step));
        pin_step(real_files(), directory, 1);
      },
      [](runtime::Files& files, const std::string& directory) {
        std::set<int64_t> good;
        retain(files, directory, 1, {.keep_last = 2}, good);
      },
      [](const std::string&, const Outcome&) {});
  EXPECT_GT(calls, 16);
}

TEST(Attempt, APausedSettingAsideTakesNothingOfANewerOne) {
  const int64_t calls = pause_before_each_call(
      [](const std::string& directory) {
        for (int64_t step : {1, 2, 3}) save_parts(real_files(), directory, 1, step, static_cast<uint32_t>(step));
      },
      [](runtime::Files& files, const std::string& directory) { set_aside_newer(files, directory, 1, 1); },
      [](const std::string& directory, const Outcome&) {
        // Steps 2 and 3 of attempt 1 were set aside by it, by attempt 2, or by a sweep between them.
        const Names names = tests::entries(directory);
        EXPECT_EQ(std::ranges::count_if(names, [](const std::string& name) { return name.starts_with("aside-"); }), 2);
      });
  EXPECT_GT(calls, 12);
}

TEST(Attempt, APausedClaimIsTheNewestOrReplaced) {
  for (int64_t k = 0;; ++k) {
    const tests::TemporaryDirectory directory;
    save_parts(real_files(), directory.path(), 1, 1, 1);
    int64_t second = 0;
    PausedFiles files(k, [&] {
      claim_attempt(real_files(), directory.path(), "two");
      second = claim_attempt(real_files(), directory.path(), "two again");
      save_parts(real_files(), directory.path(), second, 2, 2);
      real_files().make_directory(directory / "step-000000003.tmp-" + std::to_string(second));
    });
    const int64_t first = claim_attempt(files, directory.path(), "one");
    if (!files.paused()) {
      EXPECT_GT(k, 10);
      break;
    }
    SCOPED_TRACE("paused before call " + std::to_string(k));
    EXPECT_NE(first, second);
    EXPECT_EQ(seed_of(directory.path(), 2), 2u);
    const bool is_newest =
        replaced_message([&] { check_attempt(real_files(), directory.path(), first); }) == "no error";
    EXPECT_EQ(is_newest, first > second);
    EXPECT_EQ(real_files().exists(directory / "step-000000003.tmp-" + std::to_string(second)), first < second);
  }
}

TEST(Attempt, AStartWhoseDirectoryWasBegunAnewByAnotherEnds) {
  const tests::TemporaryDirectory directory;
  const std::string checkpoints = directory / "checkpoints";
  const int64_t attempt = claim_attempt(real_files(), checkpoints, "the first");
  EXPECT_EQ(replaced_message([&] { check_attempt(real_files(), checkpoints, attempt, "the first"); }), "no error");
  real_files().remove_all(checkpoints);
  ASSERT_EQ(claim_attempt(real_files(), checkpoints, "the second"), attempt);  // the numbers begin again
  const std::string message = replaced_message([&] { check_attempt(real_files(), checkpoints, attempt, "the first"); });
  EXPECT_NE(message.find("is another start's now (the second)"), std::string::npos) << message;

  RankState state(Cut::rows, 0, 1);
  SaveRequest request = tests::sample_request(checkpoints, 1, 1, state);
  request.attempt = attempt;
  request.owner = "the first";
  EXPECT_NE(replaced_message([&] { prepare_save(real_files(), request); }), "no error");
  request.owner = "the second";
  EXPECT_EQ(replaced_message([&] { prepare_save(real_files(), request); }), "no error");
}

}  // namespace
}  // namespace trireme::checkpoint
