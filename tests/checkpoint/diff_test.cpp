#include "checkpoint/diff.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "tests/checkpoint/sample.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::real_files;
using tests::Cut;
using tests::RankState;
using tests::sample_request;
using tests::save_sample;
using Lines = std::vector<std::string>;

// One rank's save of the sample, changed by `edit` before.
std::string save_edited(const std::string& directory, const std::function<void(SaveRequest&)>& edit) {
  RankState state(Cut::rows, 0, 1);
  state.fill(3);
  SaveRequest request = sample_request(directory, 5, 3, state);
  edit(request);
  save(real_files(), *runtime::solo_communicator(), request);
  return step_directory(directory, request.step);
}

TEST(Diff, LayoutRunAttemptAndWriterDoNotCount) {
  const tests::TemporaryDirectory directory;
  tests::claim_sample(directory / "a", 12);
  const std::string a = save_edited(directory / "a", [](SaveRequest& request) {
    request.run_id = "another";
    request.attempt = 12;
    request.writer = {"9.9.9", "fedcba9876"};
    request.layout = {{"dp", 1}};
  });
  save_sample(directory / "b", 5, 3, Cut::flat, 3);
  EXPECT_EQ(diff(real_files(), a, step_directory(directory / "b", 5)), Lines{});
}

TEST(Diff, NamesTheTensorTheCountAndTheFirstPlace) {
  const tests::TemporaryDirectory directory;
  const std::string a = save_edited(directory / "a", [](SaveRequest&) {});
  const std::string b = save_edited(directory / "b", [](SaveRequest& request) {
    float* values = request.slices[2].data.as<float>();  // parameter of h.0.attn.c_attn.weight, (12, 36)
    values[2 * 36 + 5] = 1.0f;
    values[9 * 36] = 1.0f;
  });
  EXPECT_EQ(diff(real_files(), a, b),
            Lines{"parameter of h.0.attn.c_attn.weight: 2 of 432 elements differ, the first at [2, 5]"});
}

TEST(Diff, MinusZeroIsNotZero) {
  const tests::TemporaryDirectory directory;
  const auto with = [&](const std::string& name, float value) {
    return save_edited(directory / name, [&](SaveRequest& request) { request.slices[1].data.as<float>()[0] = value; });
  };
  EXPECT_EQ(diff(real_files(), with("a", 0.0f), with("b", -0.0f)),
            Lines{"parameter of h.0.ln_1.weight: 1 of 12 elements differ, the first at [0]"});
}

TEST(Diff, TrainingStateCountsToTheLastBit) {
  const tests::TemporaryDirectory directory;
  const std::string a = save_edited(directory / "a", [](SaveRequest& request) {
    request.state = {{"data", {{"samples", 40}, {"seed", 1}}}, {"rate", 0.1}, {"old", 1}};
  });
  const std::string b = save_edited(directory / "b", [](SaveRequest& request) {
    request.state = {{"data", {{"samples", 41}, {"seed", 1}}}, {"rate", std::nextafter(0.1, 1.0)}, {"new", 2}};
  });
  EXPECT_EQ(diff(real_files(), a, b),
            (Lines{"state.data.samples: 40 and 41", "state.rate: 1E-1 and 1.0000000000000002E-1",
                   "state.old: only in the first", "state.new: only in the second"}));
}

TEST(Diff, StepsAndTensorsOfOneSideOnly) {
  const tests::TemporaryDirectory directory;
  const std::string a = save_edited(directory / "a", [](SaveRequest&) {});
  const std::string b = save_edited(directory / "b", [](SaveRequest& request) {
    request.step = 6;
    request.slices[1].name = "renamed";
    request.slices[0].global_shape = {12, 53};
    request.slices[0].box = parallel::whole({12, 53});
  });
  EXPECT_EQ(diff(real_files(), a, b), (Lines{"step: 5 and 6", "parameter of h.0.ln_1.weight: only in the first",
                                             "parameter of wte.weight: [0:53, 0:12] fp32 and [0:12, 0:53] fp32",
                                             "parameter of renamed: only in the second"}));
}

TEST(Diff, ADamagedTensorIsADifference) {
  const tests::TemporaryDirectory directory;
  const std::string a = save_edited(directory / "a", [](SaveRequest&) {});
  const std::string b = save_edited(directory / "b", [](SaveRequest&) {});
  const StoredSlice slice = read_manifest(real_files(), b).slices[0];
  tests::flip_bit(b + "/" + slice.file, slice.offset_bytes * 8 + 3);
  const Lines lines = diff(real_files(), a, b);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("parameter of wte.weight: " + b + "/shard-00000-of-00001.h5"), std::string::npos) << lines[0];
}

}  // namespace
}  // namespace trireme::checkpoint
