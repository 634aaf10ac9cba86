#include "checkpoint/save.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <set>

#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/checkpoint/sample.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::real_files;
using tests::Cut;
using tests::RankState;
using tests::sample_request;
using tests::save_sample;
using Names = std::vector<std::string>;

std::string message_of(const std::function<void()>& call, ErrorKind kind = ErrorKind::io) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Save, OneRankMakesOneFileAndAManifestAndNothingElse) {
  const tests::TemporaryDirectory directory;
  save_sample(directory / "checkpoints", 1200, 7);
  EXPECT_EQ(tests::entries(directory / "checkpoints"), Names{"step-000001200"});
  EXPECT_EQ(tests::entries(directory / "checkpoints/step-000001200"),
            (Names{"manifest.json", "shard-00000-of-00001.h5"}));
  EXPECT_EQ(verify(real_files(), directory / "checkpoints/step-000001200"), Names{});
}

TEST(Save, ManifestTellsWhatWasAsked) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 3, 7);
  save_sample(directory.path(), 9, 8, Cut::columns, 2);
  const Manifest manifest = read_manifest(real_files(), step_directory(directory.path(), 9));
  EXPECT_EQ(manifest.step, 9);
  EXPECT_EQ(manifest.run_id, "sample");
  EXPECT_EQ(manifest.attempt, 1);
  EXPECT_EQ(manifest.parent_step, 3);
  EXPECT_EQ(manifest.writer, (Writer{"1.2.3", "0123456789"}));
  EXPECT_EQ(manifest.state, (boost::json::object{{"step", 9}, {"seed", 8}}));
  EXPECT_EQ(manifest.tensors.size(), 12u);
  EXPECT_EQ(manifest.files.size(), 2u);
  EXPECT_EQ(manifest.find("h.1.cube", "exp_avg")->global_shape, (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(manifest.find("h.1.cube", "gradient"), nullptr);
}

// Save on P ranks, load on Q: any cut of the tensors to any other, bit by bit.
TEST(Save, AnyLayoutLoadsInAnyOther) {
  for (int P : {1, 2, 4}) {
    for (Cut saved : {Cut::rows, Cut::columns, Cut::flat, Cut::owners}) {
      const tests::TemporaryDirectory directory;
      save_sample(directory.path(), 5, 11, saved, P);
      const std::string step = step_directory(directory.path(), 5);
      ASSERT_EQ(verify(real_files(), step), Names{});
      const Manifest manifest = read_manifest(real_files(), step);
      for (int Q : {1, 2, 3, 5}) {
        for (Cut wanted : {Cut::rows, Cut::columns, Cut::flat, Cut::owners}) {
          for (int rank = 0; rank < Q; ++rank) {
            RankState state(wanted, rank, Q);
            state.poison();
            load(real_files(), step, manifest, state.slices);
            ASSERT_TRUE(state.holds(11)) << P << " ranks to rank " << rank << " of " << Q;
          }
        }
      }
    }
  }
}

TEST(Save, SlicesBeyondOnePieceOfReading) {
  // Pieces are 8 MiB: 3 M elements of 4 bytes make two, cut inside a row of the wanted columns.
  const tests::TemporaryDirectory directory;
  const std::vector<int64_t> shape = {3001, 1000};
  std::vector<float> saved(3001 * 1000);
  for (size_t i = 0; i < saved.size(); ++i) saved[i] = static_cast<float>(i);
  const auto communicator = runtime::solo_communicator();
  tests::claim_sample(directory.path());
  SaveRequest request{.checkpoints_directory = directory.path(),
                      .step = 1,
                      .run_id = "r",
                      .attempt = 1,
                      .layout = {},
                      .state = {},
                      .slices = {}};
  request.slices = {
      {"w", "parameter", shape, parallel::whole(shape), runtime::view_of(std::span(saved), {3001, 1000})}};
  save(real_files(), *communicator, request);

  const std::string step = step_directory(directory.path(), 1);
  const Manifest manifest = read_manifest(real_files(), step);
  std::vector<float> all(saved.size());
  std::vector<float> columns(3001 * 7);
  const std::vector<TensorSlice> wanted = {
      {"w", "parameter", shape, {{0, 501}, {3001, 7}}, runtime::view_of(std::span(columns), {3001, 7})},
      {"w", "parameter", shape, parallel::whole(shape), runtime::view_of(std::span(all), {3001 * 1000})}};
  load(real_files(), step, manifest, wanted);
  EXPECT_EQ(all, saved);
  for (size_t i = 0; i < columns.size(); ++i) ASSERT_EQ(columns[i], saved[i / 7 * 1000 + 501 + i % 7]) << i;
  std::ranges::fill(all, 0.0f);
  load(real_files(), step, manifest, std::span(wanted).subspan(1));  // alone: straight into the view
  EXPECT_EQ(all, saved);
}

TEST(Save, EqualStateGivesEqualShardFiles) {
  const tests::TemporaryDirectory directory;
  save_sample(directory / "a", 5, 11, Cut::flat, 2);
  save_sample(directory / "b", 6, 11, Cut::flat, 2);
  for (const char* name : {"shard-00000-of-00002.h5", "shard-00001-of-00002.h5"}) {
    EXPECT_EQ(read_text(real_files(), step_directory(directory / "a", 5) + "/" + name),
              read_text(real_files(), step_directory(directory / "b", 6) + "/" + name));
  }
}

TEST(Save, OnlyRanksThatWriteHaveFiles) {
  const tests::TemporaryDirectory directory;
  runtime::run_local_ranks(3, [&](runtime::Communicator& communicator) {
    RankState state(Cut::rows, 0, 1);
    state.fill(4);
    if (communicator.rank() != 1) state.slices.clear();
    save(real_files(), communicator, sample_request(directory.path(), 2, 4, state));
  });
  EXPECT_EQ(tests::entries(step_directory(directory.path(), 2)), (Names{"manifest.json", "shard-00000-of-00001.h5"}));
}

TEST(Save, AFullDiskOnOneRankFailsOnAllAndLeavesOlderCheckpoints) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 7, Cut::owners, 2);
  std::mutex mutex;
  std::multiset<std::string> messages;
  {
    const tests::FileSizeLimit limit(20000);  // rank 0 writes fewer bytes, rank 1 more
    runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
      RankState state(Cut::owners, communicator.rank(), 2);
      state.fill(8);
      std::vector<float> large(100000);
      SaveRequest request = sample_request(directory.path(), 2, 8, state);
      if (communicator.rank() == 1) {
        request.slices.push_back(
            {"large", "parameter", {100000}, parallel::whole({100000}), runtime::view_of(std::span(large), {100000})});
      }
      const std::string message = message_of([&] { save(real_files(), communicator, request); });
      const std::lock_guard lock(mutex);
      messages.insert(message);
    });
  }
  EXPECT_EQ(messages.size(), 2u);
  EXPECT_EQ(std::set(messages.begin(), messages.end()).size(), 1u) << "the same reason on every rank";
  const std::string shard = directory / "step-000000002.tmp-1/shard-00001-of-00002.h5";
  EXPECT_EQ(*messages.begin(), "step 2 was not saved: rank 1: cannot write " + shard + ": File too large");
  EXPECT_NE(messages.begin()->find("File too large"), std::string::npos) << *messages.begin();
  EXPECT_EQ(tests::entries(directory.path()), Names{"step-000000001"});
  EXPECT_EQ(verify(real_files(), step_directory(directory.path(), 1)), Names{});
  save_sample(directory.path(), 2, 8, Cut::owners, 2);
  EXPECT_EQ(committed_steps(real_files(), directory.path()), (std::vector<int64_t>{1, 2}));
}

TEST(Save, ADiskThatFillsUpAnywhereLeavesNoHalfCheckpoint) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 7);
  const int64_t bytes = read_manifest(real_files(), step_directory(directory.path(), 1)).files[0].bytes;
  for (int64_t limit_bytes = 0; limit_bytes < bytes; limit_bytes += 1777) {
    const tests::FileSizeLimit limit(static_cast<rlim_t>(limit_bytes));
    EXPECT_NE(message_of([&] { save_sample(directory.path(), 2, 8); }).find("step 2 was not saved"), std::string::npos);
    EXPECT_EQ(tests::entries(directory.path()), Names{"step-000000001"});
  }
}

TEST(Save, AnUnwritableDirectoryIsNamed) {
  const tests::TemporaryDirectory directory;
  const std::string checkpoints = directory / "checkpoints";
  RankState state(Cut::rows, 0, 1);
  const SaveRequest request = sample_request(checkpoints, 1, 7, state);
  real_files().remove_all(checkpoints);
  const auto message = [&] { return message_of([&] { save(real_files(), *runtime::solo_communicator(), request); }); };
  EXPECT_EQ(message(), "step 1 was not saved: " + checkpoints + " is gone: removed, renamed or no longer mounted");
  EXPECT_FALSE(real_files().exists(checkpoints)) << "it is not made anew";
  write_text_atomically(real_files(), checkpoints, "");
  EXPECT_NE(message().find("Not a directory"), std::string::npos);
}

TEST(Save, HolesAndOverlapsAreRefused) {
  const tests::TemporaryDirectory directory;
  RankState state(Cut::rows, 0, 1);
  state.fill(1);
  const auto communicator = runtime::solo_communicator();
  SaveRequest request = sample_request(directory.path(), 1, 1, state);
  request.slices.push_back(request.slices.front());
  const auto message = [&] {
    return message_of([&] { save(real_files(), *communicator, request); }, ErrorKind::internal);
  };
  EXPECT_NE(message().find("overlap"), std::string::npos);
  request.slices.pop_back();
  request.slices.front() = {
      "wte.weight", "parameter", {53, 12}, {{0, 0}, {52, 12}}, request.slices.front().data.range(0, {52, 12})};
  EXPECT_NE(message().find("12 of 636 elements are in no slice"), std::string::npos);
  EXPECT_EQ(tests::entries(directory.path()), Names{});
}

TEST(Save, ATensorWithoutAxesIsRefused) {
  const tests::TemporaryDirectory directory;
  RankState state(Cut::rows, 0, 1);
  SaveRequest request = sample_request(directory.path(), 1, 1, state);
  std::vector<float> nothing(1);
  request.slices.push_back({"scale", "parameter", {}, {}, runtime::View{{nothing.data(), runtime::DType::fp32, {}}}});
  EXPECT_EQ(message_of([&] { save(real_files(), *runtime::solo_communicator(), request); }, ErrorKind::internal),
            "step 1 was not saved: parameter of scale has no axes; a single value has the shape [1]");
  request.slices.pop_back();
  save(real_files(), *runtime::solo_communicator(), request);
  const std::string step = step_directory(directory.path(), 1);
  const TensorSlice wanted{"scale", "parameter", {}, {}, runtime::View{{nothing.data(), runtime::DType::fp32, {}}}};
  message_of([&] { load(real_files(), step, read_manifest(real_files(), step), {&wanted, 1}); }, ErrorKind::internal);
}

TEST(Save, SweepsWhatEarlierAttemptsLeft) {
  const tests::TemporaryDirectory directory;
  for (const char* debris : {"step-000000004.tmp-1", "step-000000002.tmp-0/inner", "trash-step-000000001",
                             "trash-step-000000001.tmp-1/step-000000001"}) {
    real_files().make_directory(directory / debris);
  }
  for (const char* other : {"notes", "notes.tmp-1", "step-000000004.tmp-2", "step-000000004.tmp-x"}) {
    real_files().make_directory(directory / other);
  }
  save_sample(directory.path(), 4, 7);
  EXPECT_EQ(tests::entries(directory.path()),
            (Names{"notes", "notes.tmp-1", "step-000000004", "step-000000004.tmp-2", "step-000000004.tmp-x"}));
}

TEST(Save, AGoodStepIsNotSavedTwiceAndADamagedOneGoesAside) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 4, 7);
  const std::string step = step_directory(directory.path(), 4);
  EXPECT_EQ(message_of([&] { save_sample(directory.path(), 4, 8); }),
            "step 4 was not saved: " + step + " is already saved");
  EXPECT_EQ(verify(real_files(), step), Names{});
  real_files().remove_all(step + "/manifest.json");
  save_sample(directory.path(), 4, 8);
  RankState state(Cut::rows, 0, 1);
  load(real_files(), step, read_manifest(real_files(), step), state.slices);
  EXPECT_TRUE(state.holds(8));
  EXPECT_EQ(tests::entries(directory.path()), (Names{"aside-step-000000004", "step-000000004"}));
}

}  // namespace
}  // namespace trireme::checkpoint
