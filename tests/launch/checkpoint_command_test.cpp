#include "launch/checkpoint_command.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <functional>

#include "checkpoint/attempt.h"
#include "checkpoint/save.h"
#include "launch/commands.h"
#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::launch {
namespace {

void save_step(const std::string& run, int64_t step, float value) {
  std::vector<float> weight = {1, 2, value};
  checkpoint::SaveRequest request{
      .checkpoints_directory = run + "/checkpoints",
      .step = step,
      .run_id = "test-run",
      .attempt = checkpoint::claim_attempt(runtime::real_files(), run + "/checkpoints", "a test"),
      .layout = {{"dp", 1}},
      .state = {{"samples", 12}},
      .slices = {}};
  for (const char* kind : {"parameter", "exp_avg"}) {
    request.slices.push_back({"w", kind, {3}, parallel::whole({3}), runtime::view_of(std::span(weight), {3})});
  }
  save(runtime::real_files(), *runtime::solo_communicator(), request);
}

struct Said {
  int code;
  std::string text;
};

Said said(const std::function<int()>& command) {
  testing::internal::CaptureStdout();
  const int code = command();
  return {code, testing::internal::GetCapturedStdout()};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CheckpointCommand, ListsAllStepsOfARun) {
  const tests::TemporaryDirectory run;
  save_step(run.path(), 20, 3);
  save_step(run.path(), 100, 3);
  const Said list = said([&] { return checkpoint_list(run.path()); });
  EXPECT_EQ(list.code, 0);
  EXPECT_EQ(list.text.find("step 20: "), 0u) << list.text;
  EXPECT_TRUE(contains(list.text, "\nstep 100: ")) << list.text;
  EXPECT_TRUE(contains(list.text, " kB in 1 file, 2 tensors, tp 1 x dp 1 x pp 1, ZeRO 0, attempt 2 of run test-run\n"))
      << list.text;
  std::filesystem::remove(run / "checkpoints/step-000000020/manifest.json");
  const Said damaged = said([&] { return checkpoint_list(run.path()); });
  EXPECT_EQ(damaged.code, 0);
  EXPECT_TRUE(contains(damaged.text, "step-000000020/manifest.json: No such file")) << damaged.text;
  EXPECT_TRUE(contains(damaged.text, "step 100: ")) << damaged.text;
}

TEST(CheckpointCommand, ShowsTheNewestStepOfARunOrTheGivenOne) {
  const tests::TemporaryDirectory run;
  save_step(run.path(), 20, 3);
  save_step(run.path(), 100, 3);
  const Said newest = said([&] { return checkpoint_show(run.path() + "/"); });
  EXPECT_EQ(newest.code, 0);
  EXPECT_TRUE(contains(newest.text, "step 100, attempt 2 of run test-run, saved after step 20\n")) << newest.text;
  EXPECT_TRUE(contains(newest.text, "\"samples\": 12")) << newest.text;
  EXPECT_TRUE(contains(newest.text, "w  (3) fp32  exp_avg, parameter\n")) << newest.text;
  EXPECT_TRUE(contains(newest.text, "shard-00000-of-00001.h5")) << newest.text;
  const Said first = said([&] { return checkpoint_show(run / "checkpoints/step-000000020/"); });
  EXPECT_TRUE(contains(first.text, "step 20, ")) << first.text;
}

TEST(CheckpointCommand, PinsAStepAndListSaysSo) {
  const tests::TemporaryDirectory run;
  for (int64_t step : {20, 100}) save_step(run.path(), step, 3);
  const std::string step = run / "checkpoints/step-000000020";
  EXPECT_EQ(said([&] { return checkpoint_pin(step + "/"); }).text, "step 20 is pinned: no run deletes it\n");
  EXPECT_EQ(said([&] { return checkpoint_pin(run.path()); }).text, "step 100 is pinned: no run deletes it\n");
  EXPECT_EQ(said([&] { return checkpoint_unpin(run.path()); }).text, "step 100 is no longer pinned\n");
  const Said list = said([&] { return checkpoint_list(run.path()); });
  EXPECT_TRUE(contains(list.text, " of run test-run, pinned\nstep 100: ")) << list.text;
  EXPECT_TRUE(list.text.ends_with(" of run test-run\n")) << list.text;
  EXPECT_EQ(said([&] { return checkpoint_unpin(run.path()); }).text, "step 100 was not pinned\n");
  std::filesystem::rename(step, run / "copied");
  try {
    checkpoint_pin(run / "copied");
    ADD_FAILURE() << "no error";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    EXPECT_TRUE(contains(error.what(), " is not a step of a run")) << error.what();
  }
}

TEST(CheckpointCommand, PinsTheNewestGoodStepOfARun) {
  const tests::TemporaryDirectory run;
  for (int64_t step : {20, 30, 100}) save_step(run.path(), step, 3);
  std::filesystem::resize_file(run / "checkpoints/step-000000100/shard-00000-of-00001.h5", 100);
  EXPECT_EQ(said([&] { return checkpoint_pin(run.path()); }).text, "step 30 is pinned: no run deletes it\n");
  EXPECT_TRUE(std::filesystem::exists(run / "checkpoints/step-000000030.pinned"));
}

TEST(CheckpointCommand, VerifyReturnsOneForDamage) {
  const tests::TemporaryDirectory run;
  save_step(run.path(), 20, 3);
  const Said good = said([&] { return checkpoint_verify(run.path()); });
  EXPECT_EQ(good.code, 0);
  EXPECT_EQ(good.text, run / "checkpoints/step-000000020: good\n");
  std::filesystem::resize_file(run / "checkpoints/step-000000020/shard-00000-of-00001.h5", 100);
  const Said bad = said([&] { return checkpoint_verify(run / "checkpoints/step-000000020"); });
  EXPECT_EQ(bad.code, 1);
  EXPECT_TRUE(contains(bad.text, "shard-00000-of-00001.h5: 100 bytes, not ")) << bad.text;
  EXPECT_TRUE(contains(bad.text, "step-000000020: damaged\n")) << bad.text;
}

TEST(CheckpointCommand, DiffReturnsOneForDifferences) {
  const tests::TemporaryDirectory a;
  const tests::TemporaryDirectory b;
  save_step(a.path(), 20, 3);
  save_step(b.path(), 20, 3);
  const Said equal = said([&] { return checkpoint_diff(a.path(), b.path()); });
  EXPECT_EQ(equal.code, 0);
  EXPECT_TRUE(contains(equal.text, " are identical\n")) << equal.text;
  save_step(b.path(), 21, 4);
  const Said other = said([&] { return checkpoint_diff(a.path(), b.path()); });
  EXPECT_EQ(other.code, 1);
  EXPECT_TRUE(contains(other.text, "step: 20 and 21\n")) << other.text;
  EXPECT_TRUE(contains(other.text, "parameter of w: 1 of 3 elements differ, the first at [2]\n")) << other.text;
}

TEST(CheckpointCommand, MergeMakesOneFileOfTheNewestStep) {
  const tests::TemporaryDirectory run;
  save_step(run.path(), 20, 3);
  save_step(run.path(), 100, 4);
  CheckpointOptions options{.action = "merge", .paths = {run.path()}, .output = run / "all.safetensors"};
  const Said merged = said([&] { return run_checkpoint(options); });
  EXPECT_EQ(merged.code, 0);
  EXPECT_EQ(merged.text, options.output + ": 1 tensor, 12 bytes, of " + run.path() + "/checkpoints/step-000000100\n");
  const std::array<float, 3> expected{1, 2, 4};
  const std::string text = runtime::read_text(runtime::real_files(), options.output);
  EXPECT_EQ(text.substr(text.size() - 12), std::string(reinterpret_cast<const char*>(expected.data()), 12));

  options.output = run / "all.h5";
  options.with_optimizer = true;
  EXPECT_TRUE(contains(said([&] { return run_checkpoint(options); }).text, "all.h5: 2 tensors, 24 bytes, of "));
  std::filesystem::resize_file(run / "checkpoints/step-000000100/shard-00000-of-00001.h5", 100);
  options.overwrite = true;
  EXPECT_THROW(run_checkpoint(options), runtime::Error) << "damage of the newest step is told, not passed over";
}

TEST(CheckpointCommand, OtherPathsAreAUsersMistake) {
  const tests::TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "run/checkpoints");
  const auto message = [](const std::function<int()>& command) -> std::string {
    try {
      command();
    } catch (const runtime::Error& error) {
      EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
      return error.what();
    }
    return "no error";
  };
  for (const std::string& path : {directory.path(), directory / "missing"}) {
    const std::string expected = path + " is neither a run (a directory with checkpoints/) nor a step directory of one";
    EXPECT_EQ(message([&] { return checkpoint_list(path); }), expected);
    EXPECT_EQ(message([&] { return checkpoint_verify(path); }), expected);
  }
  EXPECT_EQ(message([&] { return checkpoint_show(directory / "run"); }), directory / "run has no checkpoint yet");
  EXPECT_EQ(said([&] { return checkpoint_list(directory / "run"); }).text, directory / "run has no checkpoint yet\n");
}

}  // namespace
}  // namespace trireme::launch
