#include "launch/model_source.h"

#include <gtest/gtest.h>

#include "checkpoint/save.h"
#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::launch {
namespace {

/// The state of a run of `precision`, as far as a model needs it, and one tensor.
void save_run(const std::string& run, const std::string& precision) {
  std::vector<float> weight{1, 2, 3};
  checkpoint::SaveRequest request{.checkpoints_directory = run + "/checkpoints",
                                  .step = 7,
                                  .run_id = "test-run",
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
