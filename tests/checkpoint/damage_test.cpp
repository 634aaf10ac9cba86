// What a damaged checkpoint must never do: load.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <random>

#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/checkpoint/sample.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::real_files;
using tests::Cut;
using tests::RankState;
using tests::save_sample;
using Names = std::vector<std::string>;

constexpr const char* kShard = "shard-00001-of-00002.h5";  // rank 1's: rank 0 must learn of it

struct Damage {
  const char* title;
  const char* file;  ///< what must be named
  std::function<void(const std::string& step)> apply;
};

void cut_file(const std::string& path, int64_t by_bytes) {
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - static_cast<uintmax_t>(by_bytes));
}

int64_t data_offset(const std::string& step) {
  for (const StoredSlice& slice : read_manifest(real_files(), step).slices) {
    if (slice.file == kShard && slice.tensor == "wte.weight") return slice.offset_bytes;
  }
  return -1;
}

const std::vector<Damage> kDamages = {
    {"shard cut by a byte", kShard, [](const std::string& step) { cut_file(step + "/" + kShard, 1); }},
    {"shard empty", kShard, [](const std::string& step) { std::filesystem::resize_file(step + "/" + kShard, 0); }},
    {"bit flipped", kShard,
     [](const std::string& step) { tests::flip_bit(step + "/" + kShard, data_offset(step) * 8 + 77); }},
    {"zeroed block", kShard,
     [](const std::string& step) {
       std::string text = read_text(real_files(), step + "/" + kShard);
       text.replace(static_cast<size_t>(data_offset(step)), 1000, std::string(1000, '\0'));
       write_text_atomically(real_files(), step + "/" + kShard, text);
     }},
    {"shard missing", kShard, [](const std::string& step) { real_files().remove_all(step + "/" + kShard); }},
    {"manifest bit flipped", "manifest.json",
     [](const std::string& step) { tests::flip_bit(step + "/manifest.json", 8 * 100 + 1); }},
    {"manifest cut", "manifest.json", [](const std::string& step) { cut_file(step + "/manifest.json", 1); }},
    {"manifest empty", "manifest.json",
     [](const std::string& step) { std::filesystem::resize_file(step + "/manifest.json", 0); }},
    {"manifest missing", "manifest.json",
     [](const std::string& step) { real_files().remove_all(step + "/manifest.json"); }},
    {"another step under this name", "manifest.json", [](const std::string& step) {
       real_files().remove_all(step);
       std::filesystem::copy(std::filesystem::path(step).parent_path() / "step-000000001", step);
     }}};

// The step that two ranks load, after checking that both hold its bits; 0 when there is none.
int64_t loaded_step(const std::string& directory) {
  std::atomic<int64_t> result = 0;
  runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
    RankState state(Cut::columns, communicator.rank(), 2);
    state.poison();
    const std::optional<Loaded> loaded = load_newest(real_files(), communicator, directory, state.slices);
    if (!loaded) return;
    EXPECT_EQ(loaded->manifest.step, loaded->step);
    EXPECT_TRUE(state.holds(static_cast<uint32_t>(loaded->step)));  // the samples here use the step as seed
    const int64_t before = result.exchange(loaded->step);
    EXPECT_TRUE(before == 0 || before == loaded->step) << "ranks loaded different steps";
  });
  return result;
}

TEST(Damage, IsNamedByVerifyAndFallenBackFrom) {
  for (const Damage& damage : kDamages) {
    const tests::TemporaryDirectory directory;
    save_sample(directory.path(), 1, 1, Cut::rows, 2);
    save_sample(directory.path(), 2, 2, Cut::rows, 2);
    EXPECT_EQ(loaded_step(directory.path()), 2);
    damage.apply(step_directory(directory.path(), 2));

    const Names problems = verify(real_files(), step_directory(directory.path(), 2));
    ASSERT_FALSE(problems.empty()) << damage.title;
    for (const std::string& problem : problems) EXPECT_NE(problem.find(damage.file), std::string::npos) << problem;

    testing::internal::CaptureStderr();
    EXPECT_EQ(loaded_step(directory.path()), 1) << damage.title;
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find(damage.file), std::string::npos) << log;
    EXPECT_NE(log.find("falling back to step 1"), std::string::npos) << log;
  }
}

// Damage that one rank alone meets, for it alone reads that shard.
TEST(Damage, OfTheChosenStepIsTheSameErrorOnAllRanks) {
  for (const Damage& damage : kDamages) {
    const tests::TemporaryDirectory directory;
    save_sample(directory.path(), 1, 1, Cut::rows, 2);
    save_sample(directory.path(), 2, 2, Cut::rows, 2);
    damage.apply(step_directory(directory.path(), 2));
    Names messages(2);
    runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
      RankState state(Cut::rows, communicator.rank(), 2);
      try {
        load_chosen(real_files(), communicator, directory.path(), 2, state.slices);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), runtime::ErrorKind::data) << error.what();
        messages[static_cast<size_t>(communicator.rank())] = error.what();
      }
      const Loaded loaded = load_chosen(real_files(), communicator, directory.path(), 1, state.slices);
      EXPECT_TRUE(state.holds(1) && loaded.manifest.step == 1);
    });
    EXPECT_EQ(messages[0], messages[1]) << damage.title;
    EXPECT_NE(messages[0].find("step 2 cannot be loaded: rank "), std::string::npos) << messages[0];
    EXPECT_NE(messages[0].find(damage.file), std::string::npos) << messages[0];
  }
}

TEST(Damage, OfAllCheckpointsIsAnErrorAndNoCheckpointIsNone) {
  const tests::TemporaryDirectory directory;
  EXPECT_EQ(loaded_step(directory / "missing"), 0);
  EXPECT_EQ(loaded_step(directory.path()), 0);
  save_sample(directory.path(), 1, 1);
  save_sample(directory.path(), 2, 2);
  for (int64_t step : {1, 2}) cut_file(step_directory(directory.path(), step) + "/manifest.json", 3);
  testing::internal::CaptureStderr();
  try {
    loaded_step(directory.path());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("step-000000002/manifest.json"), std::string::npos) << error.what();
  }
  testing::internal::GetCapturedStderr();
  RankState state(Cut::rows, 0, 1);  // one rank: of two, the other's error may end the first before it has spoken
  testing::internal::CaptureStderr();
  EXPECT_THROW(load_newest(real_files(), *runtime::solo_communicator(), directory.path(), state.slices), Error);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("; falling back to step 1\n"), std::string::npos) << log;
  EXPECT_NE(log.find("step 1 cannot be loaded: "), std::string::npos) << log;
  EXPECT_NE(log.find("; there is no older checkpoint\n"), std::string::npos) << log;
}

// A flip in HDF5's own metadata does not touch what is loaded; any other must be noticed; verify notices all.
TEST(Damage, NoSingleFlippedBitIsEverLoaded) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  save_sample(directory.path(), 2, 2, Cut::flat, 2);
  const std::string step = step_directory(directory.path(), 2);
  const auto seed = std::random_device()();
  std::mt19937 random(seed);
  testing::internal::CaptureStderr();
  for (const char* name : {"manifest.json", "shard-00000-of-00002.h5", "shard-00001-of-00002.h5"}) {
    const std::string path = step + "/" + name;
    const auto bits = static_cast<int64_t>(std::filesystem::file_size(path)) * 8;
    for (int round = 0; round < 40; ++round) {
      const auto bit = static_cast<int64_t>(random() % static_cast<uint64_t>(bits));
      tests::flip_bit(path, bit);
      EXPECT_FALSE(verify(real_files(), step).empty()) << "seed " << seed << " " << name << " bit " << bit;
      RankState state(Cut::rows, 0, 1);
      const auto communicator = runtime::solo_communicator();
      const auto loaded = load_newest(real_files(), *communicator, directory.path(), state.slices);
      EXPECT_TRUE(state.holds(static_cast<uint32_t>(loaded->step))) << "seed " << seed << " " << name << " bit " << bit;
      tests::flip_bit(path, bit);
    }
  }
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(verify(real_files(), step), Names{});
}

TEST(Load, TheStepAndItsDirectoryMustAgree) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  const std::string step = step_directory(directory.path(), 1);
  for (const std::string& spelling : {step, step + "/", step + "/."}) {
    EXPECT_EQ(read_manifest(real_files(), spelling).step, 1);
  }
  real_files().rename(step, directory / "a copy");  // a name that says nothing
  EXPECT_EQ(verify(real_files(), directory / "a copy"), Names{});
  const std::string wrong = step_directory(directory.path(), 7);
  real_files().rename(directory / "a copy", wrong);
  EXPECT_EQ(verify(real_files(), wrong), Names{wrong + "/manifest.json cannot be used: it is of step 1, but its "
                                                       "directory is named for step 7"});
  EXPECT_EQ(verify(real_files(), wrong + "/").size(), 1u);
}

TEST(Load, AMissingShardIsAnIoError) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  const std::string step = step_directory(directory.path(), 1);
  const Manifest manifest = read_manifest(real_files(), step);
  real_files().remove_all(step + "/shard-00000-of-00001.h5");
  RankState state(Cut::rows, 0, 1);
  try {
    load(real_files(), step, manifest, state.slices);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find(step + "/shard-00000-of-00001.h5: No such file"), std::string::npos);
  }
}

TEST(Load, AbsentAndMisshapenTensorsAreNamed) {
  const tests::TemporaryDirectory directory;
  save_sample(directory.path(), 1, 1);
  const std::string step = step_directory(directory.path(), 1);
  const Manifest manifest = read_manifest(real_files(), step);
  std::vector<float> memory(2000);
  std::vector<int64_t> integers(12);
  const auto message = [&](TensorSlice slice) -> std::string {
    try {
      load(real_files(), step, manifest, {&slice, 1});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const auto floats = [&](int64_t count) {
    return runtime::view_of(std::span(memory).first(static_cast<size_t>(count)), {count});
  };
  EXPECT_EQ(message({"wpe.weight", "exp_avg", {12}, parallel::whole({12}), floats(12)}),
            step + " has no exp_avg of wpe.weight");
  EXPECT_EQ(message({"wte.weight", "parameter", {54, 12}, parallel::whole({54, 12}), floats(648)}),
            step + ": parameter of wte.weight is [0:53, 0:12] fp32; [0:54, 0:12] fp32 is wanted");
  EXPECT_EQ(
      message(
          {"h.0.ln_1.weight", "parameter", {12}, parallel::whole({12}), runtime::view_of(std::span(integers), {12})}),
      step + ": parameter of h.0.ln_1.weight is [0:12] fp32; [0:12] i64 is wanted");
}

}  // namespace
}  // namespace trireme::checkpoint
