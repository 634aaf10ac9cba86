// Disks that fill up, cannot be written or go away under a run: training goes on, every save that failed is a loud
// line, and what was saved before stays good.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/launch/small_disk.h"
#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

#define SKIP_WITHOUT(disk)                                                                        \
  if ((disk) == nullptr) {                                                                        \
    GTEST_SKIP() << "SKIPPED: a small tmpfs cannot be mounted here; only root can, where it may"; \
  }

/// A checkpoint of the tiny model has about 450 kB.
std::vector<std::string> words_of(const Workspace& space, const std::string& run) {
  return space.train_words(run, {"--steps", "16", "--checkpoint-every", "2", "--keep-last", "0"});
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Names in RUN/checkpoints that begin with "step-": committed ones and debris.
std::vector<std::string> step_names(const std::string& run) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(run + "/checkpoints")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-")) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

/// Each is whole; none is unfinished.
void expect_all_good(const std::string& run) {
  for (const std::string& name : step_names(run)) {
    EXPECT_EQ(run_trireme({"checkpoint", "verify", run + "/checkpoints/" + name}).exit_code, 0) << name;
    EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
  }
}

TEST(DiskTrouble, AFullDiskCostsTheStepsThatDoNotFitAndNoOthers) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(words_of(space, "straight")).exit_code, 0);
  for (const int ranks : {1, 2}) {
    const auto disk = SmallDisk::mounted(space.path("disk"), 2000);
    SKIP_WITHOUT(disk);
    const std::vector<std::string> words = words_of(space, "disk/run");
    const ProgramResult full = ranks == 1 ? run_trireme(words) : run_trireme_ranks(ranks, words);
    EXPECT_EQ(full.exit_code, 1) << full.error;
    const auto saved = static_cast<int>(step_names(space.path("disk/run")).size());
    EXPECT_GE(saved, 2) << full.error;
    EXPECT_EQ(count(full.error, " was not saved: "), 8 - saved) << full.error;
    EXPECT_EQ(count(full.error, "No space left on device"), 8 - saved) << full.error;
    EXPECT_NE(full.error.find("training goes on (" + std::to_string(7 - saved) + " failed save"), std::string::npos);
    EXPECT_NE(full.error.find("step 16 was not saved"), std::string::npos) << full.error;
    expect_all_good(space.path("disk/run"));

    ASSERT_TRUE(disk->resize(20000));  // somebody makes room, and the same command goes on from what was saved
    const ProgramResult again = ranks == 1 ? run_trireme(words) : run_trireme_ranks(ranks, words);
    EXPECT_EQ(again.exit_code, 0) << again.error;
    EXPECT_NE(again.error.find("resumed from step " + std::to_string(2 * saved)), std::string::npos) << again.error;
    if (ranks > 1) continue;  // sums of other order
    const ProgramResult diff = run_trireme({"checkpoint", "diff", space.path("straight"), space.path("disk/run")});
    EXPECT_EQ(diff.exit_code, 0) << diff.output;
  }
}

TEST(DiskTrouble, AFullDiskIsFoundBeforeTheFirstStep) {
  Workspace space;
  space.prepare();
  const auto disk = SmallDisk::mounted(space.path("disk"), 600);
  SKIP_WITHOUT(disk);
  space.write("disk/ballast", std::string(600 * 1024, 'x'));
  const std::vector<std::string> words = words_of(space, "disk/run");
  expect_refused(run_trireme(words), 1, "No space left on device");
  EXPECT_FALSE(std::filesystem::exists(space.path("disk/run/log.jsonl")));
  const ProgramResult ranks = run_trireme_ranks(2, words);
  EXPECT_EQ(ranks.exit_code, 1);
  EXPECT_EQ(count(ranks.error, "No space left on device"), 1) << ranks.error;
}

TEST(DiskTrouble, AReadOnlyRunIsFoundBeforeTheFirstStep) {
  Workspace space;
  space.prepare();
  const auto disk = SmallDisk::mounted(space.path("disk"), 20000);
  SKIP_WITHOUT(disk);
  const std::vector<std::string> words = words_of(space, "disk/run");
  ASSERT_TRUE(disk->make_read_only());
  expect_refused(run_trireme(words), 1, "Read-only file system");  // a new run
  ASSERT_TRUE(disk->make_writable());
  std::vector<std::string> half = words;
  half.insert(half.end(), {"--stop-at-step", "4"});
  ASSERT_EQ(run_trireme(half).exit_code, 0);
  ASSERT_TRUE(disk->make_read_only());
  expect_refused(run_trireme(words), 1, "Read-only file system");  // one that has all it needs but the right to write
  EXPECT_EQ(step_names(space.path("disk/run")).size(), 2u);
  expect_all_good(space.path("disk/run"));
}

/// Renamed, so that what was saved can still be looked at. 2,000 steps take longer than the shell does to see the first
/// checkpoint.
TEST(DiskTrouble, ARunThatIsTakenAwayTrainsOnAndFailsAtTheEnd) {
  Workspace space;
  space.prepare();
  const std::string run = space.path("run");
  std::string words;
  for (const std::string& word : space.train_words(
           "run", {"--steps", "2000", "--checkpoint-every", "100", "--keep-last", "0", "--log-every", "100"})) {
    words += "'" + word + "' ";
  }
  const ProgramResult result = run_command(
      {"bash", "-c",
       "'" TRIREME_PROGRAM "' " + words + " & until [ -e '" + run + "/checkpoints/step-000000100' ]; do sleep 0.01; " +
           "kill -0 $! || exit 9; done; mv '" + run + "' '" + space.path("moved") + "'; wait $!"});
  EXPECT_EQ(result.exit_code, 1) << result.error;
  const auto saved = static_cast<int>(step_names(space.path("moved")).size());
  EXPECT_LT(saved, 20);
  const int failed = count(result.error, " was not saved: ");
  EXPECT_GE(failed, 1);
  EXPECT_LE(failed, 20 - saved + 1) << "one a save; one may be unfinished where the run was, and lies there";
  EXPECT_NE(result.error.find(run + " is gone: removed, renamed or no longer mounted; training goes on ("),
            std::string::npos)
      << result.error;
  EXPECT_NE(result.error.find("step 2000 was not saved: " + run + " is gone"), std::string::npos) << result.error;
  EXPECT_FALSE(std::filesystem::exists(run)) << "nothing is put where the run was";
  EXPECT_EQ(run_trireme({"checkpoint", "verify", space.path("moved")}).exit_code, 0);
}

}  // namespace
}  // namespace trireme::tests
