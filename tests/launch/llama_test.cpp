// A model of the llama family through the whole program: prepare, train, stop, resume, evaluate, generate.
#include <gtest/gtest.h>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// Rope, RMS norm and swiglu by the family; four heads share two K/V heads; two matrices of the vocabulary.
constexpr char kModel[] =
    R"({"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "hidden_size": 32, "intermediate_size": 88, "max_position_embeddings": 32, "vocab_size": 257,
        "rope_theta": 500000, "tie_word_embeddings": false})";

class Llama : public testing::TestWithParam<const char*> {};

TEST_P(Llama, TrainsResumesEvaluatesAndGenerates) {
  Workspace space;
  space.prepare();
  space.write("model.json", kModel);
  const auto train = [&](const std::string& run, const std::vector<std::string>& more) {
    std::vector<std::string> words =
        space.train_words(run, {"--steps", "40", "--dropout", "0.1", "--precision", GetParam()});
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_trireme(words);
    EXPECT_EQ(result.exit_code, 0) << result.error;
  };
  train("straight", {});
  train("resumed", {"--stop-at-step", "15"});
  train("resumed", {});
  ProgramResult result = run_trireme({"checkpoint", "diff", space.path("straight"), space.path("resumed")});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.error;
  result = run_trireme({"checkpoint", "show", space.path("resumed")});
  for (const char* tensor : {"lm_head.weight  (257, 32)", "layers.1.self_attn.k_proj.weight  (16, 32)",
                             "layers.1.mlp.gate_proj.weight  (88, 32)"}) {
    EXPECT_NE(result.output.find(tensor), std::string::npos) << tensor << "\n" << result.output;
  }

  const auto log = space.log("resumed");
  ASSERT_EQ(log.size(), 40u);
  const double validation_loss = log.back().at("validation_loss").to_number<double>();
  EXPECT_LT(validation_loss, log.front().at("loss").to_number<double>() - 1);
  result = run_trireme({"evaluate", "--model", space.path("resumed"), "--data", space.path("data")});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  ASSERT_EQ(result.output.rfind("loss ", 0), 0u) << result.output;
  EXPECT_NEAR(std::stod(result.output.substr(5)), validation_loss, 1e-6);  // it prints six places

  result = run_trireme({"generate", "--model", space.path("resumed"), "--prompt", "the ship", "--max-new-tokens", "60",
                        "--temperature", "0"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  ASSERT_EQ(result.output.rfind("the ship", 0), 0u) << result.output;
  // Beyond the 32 positions: the cache has been filled anew. What a model of words has learnt first is the space.
  EXPECT_GE(result.output.size(), 8u + 60u) << result.output;
  EXPECT_NE(result.output.find(' ', 9), std::string::npos) << result.output;
}

INSTANTIATE_TEST_SUITE_P(Precisions, Llama, testing::Values("fp32", "bf16"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace trireme::tests
