#include "checkpoint/background_saver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "checkpoint/load.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/verify.h"
#include "runtime/local_ranks.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Communicator;
using runtime::ErrorKind;
using runtime::real_files;
using tests::Cut;
using tests::RankState;
using tests::sample_request;
using Names = std::vector<std::string>;

/// Shards are not created before the gate is open.
class GatedFiles : public tests::FailingFiles {
 public:
  std::unique_ptr<runtime::File> create(const std::string& path) override {
    while (path.find("shard-") != std::string::npos && !open_)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return FailingFiles::create(path);
  }
  void open_gate() { open_ = true; }

 private:
  std::atomic<bool> open_ = false;
};

int64_t total_bytes(const RankState& state) {
  int64_t bytes = 0;
  for (const TensorSlice& slice : state.slices) bytes += slice.data.bytes();
  return bytes;
}

/// What a training step does for a save: the votes are added up, then all know.
std::optional<SaveEnd> step_of(BackgroundSaver& saver, Communicator& world) {
  int64_t votes = 0;
  for (const std::string& vote : runtime::all_gather_bytes(world, std::to_string(saver.vote())))
    votes += std::stoll(vote);
  return saver.advance(votes);
}

SaveEnd train_until_saved(BackgroundSaver& saver, Communicator& world) {
  for (;;) {
    if (std::optional<SaveEnd> end = step_of(saver, world)) return *end;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool step_holds(const std::string& directory, int64_t step, uint32_t seed) {
  RankState state(Cut::owners, 0, 1);
  state.poison();
  const std::string path = step_directory(directory, step);
  load(real_files(), path, read_manifest(real_files(), path), state.slices);
  return state.holds(seed);
}

TEST(BackgroundSaver, TrainingGoesOnWhileOneRankIsWriting) {
  const tests::TemporaryDirectory directory;
  runtime::run_local_ranks(3, [&](Communicator& world) {
    RankState state(Cut::rows, world.rank(), 3);
    state.fill(7);
    GatedFiles files;
    if (world.rank() != 1) files.open_gate();
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(files, world, stream, total_bytes(state));
    EXPECT_FALSE(saver.in_flight());
    saver.begin(sample_request(directory.path(), 5, 7, state));
    state.fill(8);  // the next update, before anything of rank 1 is written
    for (int step = 0; step < 20; ++step) ASSERT_FALSE(step_of(saver, world).has_value());
    EXPECT_TRUE(saver.in_flight());
    EXPECT_EQ(committed_steps(real_files(), directory.path()), std::vector<int64_t>{});
    files.open_gate();
    const SaveEnd end = train_until_saved(saver, world);
    EXPECT_EQ(end.step, 5);
    EXPECT_FALSE(end.failure.has_value());
    EXPECT_TRUE(end.is_committed);
    EXPECT_FALSE(saver.in_flight());
  });
  EXPECT_EQ(verify(real_files(), step_directory(directory.path(), 5)), Names{});
  EXPECT_TRUE(step_holds(directory.path(), 5, 7));
}

TEST(BackgroundSaver, SaysHowLongTheSlowestRankWasBusyAndNotHowLongItWaited) {
  using std::chrono::milliseconds;
  const tests::TemporaryDirectory directory;
  runtime::run_local_ranks(2, [&](Communicator& world) {
    RankState state(Cut::rows, world.rank(), 2);
    state.fill(7);
    GatedFiles files;
    if (world.rank() == 0) files.open_gate();
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(files, world, stream, total_bytes(state));
    saver.begin(sample_request(directory.path(), 5, 7, state));
    std::this_thread::sleep_for(milliseconds(100));
    files.open_gate();
    while (saver.vote() == 0) std::this_thread::sleep_for(milliseconds(1));
    std::this_thread::sleep_for(milliseconds(200));  // a long step: nobody meets
    const SaveEnd end = saver.finish();
    EXPECT_GE(end.busy_seconds, 0.1) << "rank 1's, on both ranks";
    EXPECT_LE(end.busy_seconds, end.seconds - 0.19);
  });
}

TEST(BackgroundSaver, SavesOneStepAfterAnother) {
  const tests::TemporaryDirectory directory;
  runtime::run_local_ranks(2, [&](Communicator& world) {
    RankState state(Cut::flat, world.rank(), 2);
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(real_files(), world, stream, total_bytes(state));
    for (uint32_t step = 1; step <= 6; ++step) {
      state.fill(step);
      saver.begin(sample_request(directory.path(), step, step, state));
      state.fill(100 + step);
      const SaveEnd end = step % 2 == 0 ? saver.finish() : train_until_saved(saver, world);
      ASSERT_FALSE(end.failure.has_value()) << end.failure->what();
    }
  });
  for (uint32_t step = 1; step <= 6; ++step) EXPECT_TRUE(step_holds(directory.path(), step, step)) << step;
}

TEST(BackgroundSaver, RetentionIsAppliedAfterTheCommit) {
  const tests::TemporaryDirectory directory;
  runtime::run_local_ranks(1, [&](Communicator& world) {
    RankState state(Cut::flat, 0, 1);
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(real_files(), world, stream, total_bytes(state));
    for (uint32_t step = 1; step <= 5; ++step) {
      state.fill(step);
      SaveRequest request = sample_request(directory.path(), step, step, state);
      request.retention.keep_last = 3;
      saver.begin(std::move(request));
      ASSERT_FALSE(saver.finish().failure.has_value());
    }
  });
  EXPECT_EQ(committed_steps(real_files(), directory.path()), (std::vector<int64_t>{3, 4, 5}));
}

TEST(BackgroundSaver, AFailedSaveIsToldToAllRanksAndTheNextOneWorks) {
  const tests::TemporaryDirectory directory;
  tests::save_sample(directory.path(), 1, 1, Cut::rows, 3);
  runtime::run_local_ranks(3, [&](Communicator& world) {
    RankState state(Cut::rows, world.rank(), 3);
    state.fill(2);
    tests::FailingFiles files({.call = world.rank() == 2 ? 0 : -1});  // its first call, to its shard
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(files, world, stream, total_bytes(state));
    saver.begin(sample_request(directory.path(), 2, 2, state));
    const SaveEnd end = train_until_saved(saver, world);
    ASSERT_TRUE(end.failure.has_value());
    EXPECT_EQ(end.failure->kind(), ErrorKind::io);
    EXPECT_NE(std::string(end.failure->what()).find("step 2 was not saved: rank 2: "), std::string::npos)
        << end.failure->what();
    EXPECT_FALSE(end.is_committed);
    EXPECT_FALSE(saver.in_flight());
    saver.begin(sample_request(directory.path(), 3, 2, state));
    EXPECT_FALSE(saver.finish().failure.has_value());
  });
  EXPECT_EQ(tests::entries(directory.path()), (Names{"step-000000001", "step-000000003"}));
  EXPECT_TRUE(step_holds(directory.path(), 1, 1));
  EXPECT_TRUE(step_holds(directory.path(), 3, 2));
}

TEST(BackgroundSaver, WhatThePreparationRefusesIsTheEndOfTheSave) {
  const tests::TemporaryDirectory directory;
  tests::save_sample(directory.path(), 1, 1);
  runtime::run_local_ranks(2, [&](Communicator& world) {
    RankState state(Cut::rows, world.rank(), 2);
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(real_files(), world, stream, total_bytes(state));
    saver.begin(sample_request(directory.path(), 1, 1, state));
    const SaveEnd end = train_until_saved(saver, world);
    ASSERT_TRUE(end.failure.has_value());
    EXPECT_NE(std::string(end.failure->what()).find("is already saved"), std::string::npos) << end.failure->what();
  });
}

// The ring holds four pieces of 4 MiB, the slices have 40 MB: training waits for the writer, and no byte is lost.
TEST(BackgroundSaver, BoundedMemorySavesTheSameBytes) {
  const tests::TemporaryDirectory directory;
  tests::claim_sample(directory.path());
  std::vector<float> values(10'000'000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 100'003);
  const auto elements = static_cast<int64_t>(values.size());
  SaveRequest request{.checkpoints_directory = directory.path(), .step = 4, .run_id = "bounded", .attempt = 1};
  for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 3}, {3, 5'000'001}, {5'000'004, 4'999'996}}) {
    request.slices.push_back({"t" + std::to_string(begin),
                              "parameter",
                              {count},
                              parallel::whole({count}),
                              runtime::view_of(std::span(values), {elements}).range(begin, {count})});
  }
  runtime::run_local_ranks(1, [&](Communicator& world) {
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(real_files(), world, stream, Snapshot::kSmallestBytes);
    saver.begin(request);
    std::ranges::fill(values, -1.0F);
    ASSERT_FALSE(saver.finish().failure.has_value());
  });
  const std::string step = step_directory(directory.path(), 4);
  load(real_files(), step, read_manifest(real_files(), step), request.slices);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<float>(i % 100'003)) << i;
}

TEST(BackgroundSaver, TrainingDoesNotWaitForAWriterThatFailed) {
  const tests::TemporaryDirectory directory;
  tests::claim_sample(directory.path());
  std::vector<float> values(20'000'000);
  const auto elements = static_cast<int64_t>(values.size());
  runtime::run_local_ranks(1, [&](Communicator& world) {
    for (int64_t fail_at : {8, 12, 20}) {  // while the shard is written, or later
      tests::FailingFiles files({.call = fail_at, .for_good = true});
      runtime::Stream stream(runtime::Device::cpu);
      BackgroundSaver saver(files, world, stream, Snapshot::kSmallestBytes);
      saver.begin({.checkpoints_directory = directory.path(),
                   .step = 4,
                   .run_id = "bounded",
                   .attempt = 1,
                   .slices = {{"t",
                               "parameter",
                               {elements},
                               parallel::whole({elements}),
                               runtime::view_of(std::span(values), {elements})}}});
      EXPECT_TRUE(saver.finish().failure.has_value());
    }
  });
  EXPECT_EQ(committed_steps(real_files(), directory.path()), std::vector<int64_t>{});
}

TEST(BackgroundSaver, AnEndInTheMiddleLeavesDebrisAndNoStep) {
  const tests::TemporaryDirectory directory;
  tests::save_sample(directory.path(), 1, 1);
  runtime::run_local_ranks(2, [&](Communicator& world) {
    RankState state(Cut::rows, world.rank(), 2);
    state.fill(2);
    runtime::Stream stream(runtime::Device::cpu);
    BackgroundSaver saver(real_files(), world, stream, total_bytes(state));
    saver.begin(sample_request(directory.path(), 2, 2, state));
  });
  EXPECT_EQ(tests::entries(directory.path()), (Names{"step-000000001", "step-000000002.tmp-1"}));
  tests::save_sample(directory.path(), 2, 2);
  EXPECT_EQ(tests::entries(directory.path()), (Names{"step-000000001", "step-000000002"}));
}

}  // namespace
}  // namespace trireme::checkpoint
