// The program on a real text, held against a published figure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <limits>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// The validation loss after 2,000 steps in `precision`.
double trained_loss(const Workspace& space, const std::string& precision) {
  std::vector<std::string> words = {
      "train",       "--data", space.path("data"), "--model", space.path("model.json"), "--run", space.path(precision),
      "--precision", precision};
  for (const char* word : {"--steps",          "2000", "--global-batch-size", "12",
                           "--learning-rate",  "1e-3", "--min-learning-rate", "1e-4",
                           "--warmup-steps",   "100",  "--weight-decay",      "0.1",
                           "--adam-beta2",     "0.99", "--clip-grad-norm",    "1",
                           "--validate-every", "0",    "--checkpoint-every",  "0"}) {
    words.emplace_back(word);
  }
  const ProgramResult result = run_trireme(words, {.environment = {{"OMP_NUM_THREADS", "1"}}, .timeout_seconds = 900});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  if (result.exit_code != 0) return std::numeric_limits<double>::infinity();
  const double loss = space.log(precision).back().at("validation_loss").to_number<double>();
  testing::Test::RecordProperty("validation_loss_" + precision, std::to_string(loss));
  std::printf("%s: validation loss over the whole split: %.4f\n", precision.c_str(), loss);
  return loss;
}

/// nanoGPT publishes 1.88 for this setting, measured on 20 random batches; ours is over the whole split. bf16 rounds
/// activations and weights to three digits: another run, which leads to the same place within 1% of the loss. About two
/// minutes, side by side: steps as small as these keep two threads waiting for each other.
TEST(Tinyshakespeare, ReachesThePublishedValidationLoss) {
  const char* given = std::getenv("TRIREME_TEST_DATA");
  const std::string text = std::string(given != nullptr ? given : "../shared/data") + "/tinyshakespeare.txt";
  if (!std::filesystem::exists(text)) GTEST_SKIP() << "SKIPPED: no " << text << "; set TRIREME_TEST_DATA to its folder";
  Workspace space;
  space.write(
      "model.json",
      R"({"model_type": "gpt2", "n_layer": 4, "n_head": 4, "n_embd": 128, "n_positions": 64, "vocab_size": 257})");
  ASSERT_EQ(run_trireme({"prepare", "--input", text, "--output", space.path("data"), "--tokenizer", "byte"}).exit_code,
            0);
  std::future<double> bf16 = std::async(std::launch::async, [&] { return trained_loss(space, "bf16"); });
  const double fp32 = trained_loss(space, "fp32");
  EXPECT_LE(fp32, 1.90);
  EXPECT_NEAR(bf16.get(), fp32, 0.02);
}

}  // namespace
}  // namespace trireme::tests
