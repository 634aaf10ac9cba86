// The program over the axes of the mesh: the same losses as one rank, and a checkpoint of any layout goes on in any
// other.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

struct RunLayout {
  int ranks = 1;
  std::vector<std::string> words;
};

/// Four layers of 4 heads and 2 K/V heads, an odd vocabulary.
void prepare(const Workspace& space) {
  space.prepare();
  space.write("model.json", R"({"model_type": "llama", "num_hidden_layers": 4, "num_attention_heads": 4,
              "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 32,
              "vocab_size": 257, "tie_word_embeddings": true})");
}

ProgramResult train(const Workspace& space, const std::string& run, const RunLayout& layout,
                    const std::vector<std::string>& more) {
  std::vector<std::string> words = space.train_words(run, more);
  words.insert(words.end(), layout.words.begin(), layout.words.end());
  return layout.ranks == 1 ? run_trireme(words) : run_trireme_ranks(layout.ranks, words);
}

const RunLayout kTensorAndPipeline{4, {"--tensor-parallel", "2", "--pipeline-parallel", "2"}};
const RunLayout kZeroThree{2, {"--zero-stage", "3"}};
const RunLayout kInterleaved{
    4, {"--pipeline-parallel", "2", "--virtual-stages", "2", "--microbatch-size", "1", "--zero-stage", "2"}};
const RunLayout kZeroBubble{3, {"--pipeline-parallel", "3", "--pipeline-schedule", "zb-h1"}};

/// The same sums of fp32 numbers in another order.
void expect_losses(const Workspace& space, const std::string& run, const std::string& expected_run, size_t steps) {
  const auto log = space.log(run);
  const auto expected = space.log(expected_run);
  ASSERT_EQ(log.size(), steps);
  ASSERT_GE(expected.size(), steps);
  for (size_t i = 0; i < steps; ++i) {
    const double loss = expected[i].at("loss").to_number<double>();
    EXPECT_NEAR(log[i].at("loss").to_number<double>(), loss, 1e-5 * loss) << run << ", step " << i + 1;
  }
}

TEST(Layouts, FollowOneRank) {
  Workspace space;
  prepare(space);
  ASSERT_EQ(train(space, "alone", {}, {"--steps", "20"}).exit_code, 0);
  int number = 0;
  for (const RunLayout& layout : {kTensorAndPipeline, kZeroThree, kInterleaved, kZeroBubble}) {
    const std::string run = "run" + std::to_string(number++);
    const ProgramResult result = train(space, run, layout, {"--steps", "20"});
    ASSERT_EQ(result.exit_code, 0) << result.error;
    expect_losses(space, run, "alone", 20);
    const double expected = space.log("alone").back().at("validation_loss").to_number<double>();
    EXPECT_NEAR(space.log(run).back().at("validation_loss").to_number<double>(), expected, 1e-5 * expected) << run;
  }
}

TEST(Layouts, ACheckpointGoesOnInAnyOther) {
  Workspace space;
  prepare(space);
  ASSERT_EQ(train(space, "alone", {}, {"--steps", "24"}).exit_code, 0);
  ProgramResult result = train(space, "run", kTensorAndPipeline, {"--steps", "24", "--stop-at-step", "8"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("tp 2 x dp 1 x pp 2, ZeRO 0, 1f1b, 8 microbatches of 1 sequence"), std::string::npos)
      << result.error;
  EXPECT_EQ(run_trireme({"checkpoint", "verify", space.path("run")}).exit_code, 0);

  result = train(space, "run", kZeroThree, {"--steps", "24", "--stop-at-step", "16"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const std::string change = "layout tp 2 x dp 1 x pp 2, ZeRO 0, 1f1b -> tp 1 x dp 2 x pp 1, ZeRO 3";
  EXPECT_NE(result.error.find("from step 8 on: " + change), std::string::npos) << result.error;
  EXPECT_NE(space.read("run/config.json").find(change), std::string::npos);
  EXPECT_EQ(run_trireme({"checkpoint", "verify", space.path("run")}).exit_code, 0);

  ASSERT_EQ(train(space, "run", kInterleaved, {"--steps", "24", "--stop-at-step", "20"}).exit_code, 0);
  ASSERT_EQ(train(space, "run", kZeroBubble, {"--steps", "24", "--stop-at-step", "22"}).exit_code, 0);
  ASSERT_EQ(train(space, "run", {}, {"--steps", "24"}).exit_code, 0);
  expect_losses(space, "run", "alone", 24);
}

TEST(Layouts, StoppedAndResumedIsStraightBitForBit) {
  Workspace space;
  prepare(space);
  for (const RunLayout& layout : {kTensorAndPipeline, kZeroThree, kInterleaved}) {
    std::filesystem::remove_all(space.path("straight"));
    std::filesystem::remove_all(space.path("resumed"));
    const std::vector<std::string> all{"--steps", "12", "--dropout", "0.1"};
    std::vector<std::string> half = all;
    half.insert(half.end(), {"--stop-at-step", "6"});
    ASSERT_EQ(train(space, "straight", layout, all).exit_code, 0);
    ASSERT_EQ(train(space, "resumed", layout, half).exit_code, 0);
    ASSERT_EQ(train(space, "resumed", layout, all).exit_code, 0);
    const ProgramResult diff = run_trireme({"checkpoint", "diff", space.path("straight"), space.path("resumed")});
    EXPECT_EQ(diff.exit_code, 0) << diff.output << diff.error;
  }
}

TEST(Layouts, EvaluateAndGenerateReadAnyOfThem) {
  Workspace space;
  prepare(space);
  ASSERT_EQ(train(space, "run", kTensorAndPipeline, {"--steps", "10"}).exit_code, 0);
  const double trained = space.log("run").back().at("validation_loss").to_number<double>();
  const std::vector<std::string> evaluate{"evaluate", "--model", space.path("run"), "--data", space.path("data")};
  for (const int ranks : {1, 3}) {
    const ProgramResult result = ranks == 1 ? run_trireme(evaluate) : run_trireme_ranks(ranks, evaluate);
    ASSERT_EQ(result.exit_code, 0) << result.error;
    double loss = 0;
    ASSERT_EQ(std::sscanf(result.output.c_str(), "loss %lf", &loss), 1) << result.output;
    EXPECT_NEAR(loss, trained, 1e-5 * trained);
  }
  const ProgramResult generated = run_trireme({"generate", "--model", space.path("run"), "--prompt", "the ship",
                                               "--max-new-tokens", "20", "--temperature", "0"});
  EXPECT_EQ(generated.exit_code, 0) << generated.error;
  EXPECT_TRUE(generated.output.starts_with("the ship")) << generated.output;
}

TEST(Layouts, AreRecorded) {
  Workspace space;
  prepare(space);
  ASSERT_EQ(train(space, "run", kInterleaved, {"--steps", "1"}).exit_code, 0);
  const boost::json::value layout{
      {"tp", 1}, {"dp", 2}, {"pp", 2}, {"zero_stage", 2}, {"schedule", "1f1b"}, {"virtual_stages", 2}};
  const boost::json::value config = boost::json::parse(space.read("run/config.json"));
  EXPECT_EQ(config.at("resolved").at("layout"), layout);
  EXPECT_EQ(config.at("resolved").at("microbatches").as_int64(), 4);
  const boost::json::value manifest = boost::json::parse(space.read("run/checkpoints/step-000000001/manifest.json"));
  EXPECT_EQ(manifest.at("layout"), layout);
}

}  // namespace
}  // namespace trireme::tests
