#include "launch/model_source.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/attempt.h"
#include "checkpoint/save.h"
#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::launch {
namespace {

/// The state of a run of `precision`, as far as a model needs it, and one tensor.
void save_run(const std::string& run, const std::string& precision, int64_t step = 7) {
  std::vector<float> weight{1, 2, 3};
  const std::string checkpoints = run + "/checkpoints";
  checkpoint::SaveRequest request{.checkpoints_directory = checkpoints,
                                  .step = step,
                                  .run_id = "test-run",
                                  .attempt = checkpoint::claim_attempt(runtime::real_files(), checkpoints, "a test"),
                                  .layout = {{"dp", 1}},
                                  .state = {{"identity",
                                             {{"model", to_json(model::ModelConfig())},
                                              {"tokenizer", {{"kind", "byte"}}},
                                              {"sequence-length", 48},
                                              {"precision", precision}}}},
                                  .slices = {}};
  request.slices.push_back({"w", "parameter", {3}, parallel::whole({3}), runtime::view_of(std::span(weight), {3})});
  save(runtime::real_files(), *runtime::solo_communicator(), request);
}

ModelSource find(const std::string& run, const std::string& precision) {
  return find_model(runtime::real_files(), *runtime::solo_communicator(), run, precision, "cpu");
}

TEST(ModelSource, IsComputedAsItWasTrainedUnlessTheUserSaysOtherwise) {
  for (const auto& [word, dtype] : {std::pair{"fp32", runtime::DType::fp32}, {"bf16", runtime::DType::bf16}}) {
    const tests::TemporaryDirectory run;
    save_run(run.path(), word);
    const ModelSource source = find(run.path(), "");
    EXPECT_EQ(source.execution.storage, dtype);
    EXPECT_EQ(source.sequence_length, 48);
    EXPECT_EQ(source.config, model::ModelConfig());
    EXPECT_EQ(find(run.path(), "fp32").execution.storage, runtime::DType::fp32);
    EXPECT_EQ(find(run.path(), "bf16").execution.storage, runtime::DType::bf16);
  }
}

TEST(ModelSource, SaysWhichStepItFallsBackTo) {
  const tests::TemporaryDirectory run;
  save_run(run.path(), "fp32", 7);
  save_run(run.path(), "fp32", 8);
  const auto damage = [&](const std::string& step) {
    std::filesystem::resize_file(run / "checkpoints/" + step + "/shard-00000-of-00001.h5", 100);
  };
  damage("step-000000008");
  testing::internal::CaptureStderr();
  EXPECT_EQ(find(run.path(), "").step_directory, run / "checkpoints/step-000000007");
  std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("step 8 is damaged: shard-00000-of-00001.h5: "), std::string::npos) << log;
  EXPECT_NE(log.find("; falling back to step 7\n"), std::string::npos) << log;
  damage("step-000000007");
  testing::internal::CaptureStderr();
  EXPECT_THROW(find(run.path(), ""), runtime::Error);
  log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("; there is no older checkpoint\n"), std::string::npos) << log;
}

TEST(ModelSource, PrecisionOfALaterVersionIsRefusedByName) {
  const tests::TemporaryDirectory run;
  save_run(run.path(), "fp8");
  try {
    find(run.path(), "");
    FAIL() << "no error";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "--model " + (run / "checkpoints/step-000000007") +
                  R"( without --precision: "fp8" is not a precision that this program knows (fp32, bf16))");
  }
  EXPECT_EQ(find(run.path(), "bf16").execution.storage, runtime::DType::bf16);
}

}  // namespace
}  // namespace trireme::launch
