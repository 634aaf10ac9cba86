#include "checkpoint/retention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <utility>

#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::real_files;
using tests::save_sample;
using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;

TEST(StepDirectory, NamesAndStepsAreOneToOne) {
  EXPECT_EQ(step_directory("c", 1200), "c/step-000001200");
  EXPECT_EQ(step_directory("c", 12345678901), "c/step-12345678901");
  for (int64_t step : {int64_t{0}, int64_t{7}, int64_t{999999999}, int64_t{12345678901}}) {
    EXPECT_EQ(step_of_name(step_directory("c", step).substr(2)), step);
  }
  for (const char* name : {"step-", "step-7", "step-0000000007", "step-000000007.tmp-1", "step--00000007",
                           "step-00000000x", "trash-step-000000007", "manifest.json"}) {
    EXPECT_EQ(step_of_name(name), std::nullopt) << name;
  }
}

// What stays of `steps`, all good but `damaged`, which are cut short.
Steps kept(const Steps& steps, const Retention& retention, const Steps& damaged = {}, const Steps& pinned = {}) {
  const tests::TemporaryDirectory directory;
  for (int64_t step : steps) save_sample(directory.path(), step, 1);
  for (int64_t step : damaged) {
    std::filesystem::resize_file(step_directory(directory.path(), step) + "/shard-00000-of-00001.h5", 100);
  }
  for (int64_t step : pinned)
    write_text_atomically(real_files(), step_directory(directory.path(), step) + ".pinned", "");
  std::set<int64_t> good;
  retain(real_files(), directory.path(), 1, retention, good);
  for (int64_t step : good) EXPECT_EQ(std::ranges::count(damaged, step), 0) << step;
  const Steps left = committed_steps(real_files(), directory.path());
  EXPECT_EQ(tests::entries(directory.path()).size(), left.size() + pinned.size()) << "nothing else is left behind";
  return left;
}

TEST(Retention, KeepsTheNewestEveryNthAndPinnedSteps) {
  const Steps all{5, 20, 900, 1000, 1001};
  EXPECT_EQ(kept(all, {.keep_last = 0}), all);
  EXPECT_EQ(kept(all, {.keep_last = 0, .keep_every = 7}), all);
  EXPECT_EQ(kept(all, {.keep_last = 9}), all);
  EXPECT_EQ(kept(all, {.keep_last = 2}), (Steps{1000, 1001}));
  EXPECT_EQ(kept(all, {.keep_last = 3, .keep_every = 10}), (Steps{20, 900, 1000, 1001}));
  EXPECT_EQ(kept(all, {.keep_last = 2}, {}, {5, 900}), (Steps{5, 900, 1000, 1001}));
  EXPECT_EQ(kept(all, {.keep_last = 2}, {}, {6}), (Steps{1000, 1001})) << "a pin without a step";
}

TEST(Retention, NeverLeavesFewerThanTwoGoodSteps) {
  const Steps all{1, 2, 3, 4, 5};
  EXPECT_EQ(kept(all, {.keep_last = 1}), (Steps{4, 5}));
  EXPECT_EQ(kept(all, {.keep_last = 1, .keep_every = 2}), (Steps{2, 4, 5}));
  EXPECT_EQ(kept(all, {.keep_last = 2}, {5}), (Steps{3, 4, 5}));
  EXPECT_EQ(kept(all, {.keep_last = 2}, {4, 5}), (Steps{2, 3, 4, 5}));
  EXPECT_EQ(kept(all, {.keep_last = 1}, {3, 4}), (Steps{2, 5}));
  EXPECT_EQ(kept(all, {.keep_last = 2}, {2, 3, 4, 5}), all) << "without two good ones nothing is deleted";
  EXPECT_EQ(kept({1, 2}, {.keep_last = 1}), (Steps{1, 2}));
  EXPECT_EQ(kept({1}, {.keep_last = 1}, {1}), Steps{1});
}

TEST(Retention, AStepOfAnUnknownFormatIsNeitherCountedNorDeleted) {
  for (int64_t unknown : {1, 2, 4, 5}) {
    const tests::TemporaryDirectory directory;
    for (int64_t step : {1, 2, 3, 4, 5}) save_sample(directory.path(), step, 1);
    const std::string path = step_directory(directory.path(), unknown) + "/manifest.json";
    const std::string text = read_text(real_files(), path);
    write_text_atomically(real_files(), path, tests::rewritten(text, "\"major\":1", "\"major\":2"));
    std::set<int64_t> good;
    retain(real_files(), directory.path(), 1, {.keep_last = 1}, good);
    std::set<int64_t> expected = unknown > 3 ? std::set<int64_t>{3, 4, 5} : std::set<int64_t>{4, 5};
    expected.erase(unknown);
    EXPECT_EQ(good, expected) << unknown;
    expected.insert(unknown);
    EXPECT_EQ(committed_steps(real_files(), directory.path()), Steps(expected.begin(), expected.end()));
  }
}

/// As if another process acted when the first step is on its way out.
class MeanwhileFiles : public tests::FailingFiles {
 public:
  explicit MeanwhileFiles(std::function<void()> act) : act_(std::move(act)) {}
  void make_directory(const std::string& path) override {
    FailingFiles::make_directory(path);
    if (act_) std::exchange(act_, {})();
  }

 private:
  std::function<void()> act_;
};

TEST(Retention, APinThatComesWhileStepsAreDeletedCounts) {
  const tests::TemporaryDirectory directory;
  for (int64_t step : {1, 2, 3, 4}) save_sample(directory.path(), step, 1);
  std::set<int64_t> good;
  MeanwhileFiles files([&] { pin_step(real_files(), directory.path(), 2); });
  retain(files, directory.path(), 1, {.keep_last = 2}, good);
  EXPECT_EQ(committed_steps(real_files(), directory.path()), (Steps{2, 3, 4}));
}

TEST(Retention, AStepThatIsGoneIsNotPinned) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  try {
    pin_step(real_files(), directory.path(), 2);
    ADD_FAILURE() << "no error";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(std::string(error.what()),
              directory / "step-000000002" + " is not there (any more), so it cannot be pinned");
  }
  EXPECT_EQ(tests::entries(directory.path()), Names{"step-000000001"});
}

TEST(Retention, StepsKnownToBeGoodAreNotReadAgain) {
  const tests::TemporaryDirectory directory;
  for (int64_t step : {1, 2, 3}) save_sample(directory.path(), step, 1);
  std::set<int64_t> good{1, 2, 3};
  tests::FailingFiles counting;
  retain(counting, directory.path(), 1, {.keep_last = 2}, good);
  EXPECT_EQ(good, (std::set<int64_t>{2, 3}));
  EXPECT_LT(counting.calls(), 20);  // lists and one deletion
}

TEST(Retention, ARuleThatIsNegativeIsAFaultOfTheCaller) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  std::set<int64_t> good;
  for (const Retention& rule : {Retention{.keep_last = -1}, Retention{.keep_last = 1, .keep_every = -1}}) {
    try {
      retain(real_files(), directory.path(), 1, rule, good);
      ADD_FAILURE() << "no error";
    } catch (const runtime::Error& error) {  // the options are checked by whoever has options
      EXPECT_EQ(error.kind(), runtime::ErrorKind::internal);
    }
  }
}

TEST(Retention, PinsAreFilesThatPeopleMayMake) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 20, 1);
  pin_step(real_files(), directory.path(), 20);
  pin_step(real_files(), directory.path(), 20);
  write_text_atomically(real_files(), directory / "step-000000007.pinned", "by hand");
  write_text_atomically(real_files(), directory / "notes.pinned", "");
  EXPECT_EQ(pinned_steps(real_files(), directory.path()), (Steps{7, 20}));
  unpin_step(real_files(), directory.path(), 20);
  unpin_step(real_files(), directory.path(), 20);
  EXPECT_EQ(pinned_steps(real_files(), directory.path()), Steps{7});
  EXPECT_EQ(committed_steps(real_files(), directory.path()), Steps{20});
}

TEST(Retention, NewerStepsGoAsideAndKeepTheirContent) {
  const tests::TemporaryDirectory directory;
  for (int64_t step : {1, 2, 3}) save_sample(directory.path(), step, 1);
  set_aside_newer(real_files(), directory.path(), 1, 1);
  EXPECT_EQ(tests::entries(directory.path()),
            (Names{"aside-step-000000002", "aside-step-000000003", "step-000000001"}));
  EXPECT_EQ(verify(real_files(), directory / "aside-step-000000003"), Names{});
  save_sample(directory.path(), 2, 4);
  set_aside_newer(real_files(), directory.path(), 1, 1);
  EXPECT_EQ(tests::entries(directory.path()),
            (Names{"aside-step-000000002", "aside-step-000000002-2", "aside-step-000000003", "step-000000001"}));
}

}  // namespace
}  // namespace trireme::checkpoint
