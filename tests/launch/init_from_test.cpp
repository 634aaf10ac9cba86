// train --init-from: weights of any layout into any other, all of them or some, and what is said when they do not fit.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// Layouts that between them cut tensors, layers, optimizer and parameters; with a pipeline the tied table has a copy.
struct Layout {
  int ranks = 1;
  std::vector<std::string> words;
};
const Layout kAlone;
const Layout kTensor{2, {"--tensor-parallel", "2"}};
const Layout kPipeline{2, {"--pipeline-parallel", "2"}};
const Layout kTensorAndPipeline{4, {"--tensor-parallel", "2", "--pipeline-parallel", "2"}};
const Layout kZeroThree{2, {"--zero-stage", "3"}};

ProgramResult train(const Workspace& space, const std::string& run, const Layout& layout,
                    const std::vector<std::string>& more) {
  std::vector<std::string> words = space.train_words(run, more);
  words.insert(words.end(), layout.words.begin(), layout.words.end());
  return layout.ranks == 1 ? run_trireme(words) : run_trireme_ranks(layout.ranks, words);
}

/// One step that changes no parameter, so that the run saves what it began with.
std::vector<std::string> standstill(const std::vector<std::string>& more) {
  std::vector<std::string> words{"--steps", "1", "--learning-rate", "0"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// The bytes of the parameters that match, one after another.
std::string parameters(const Workspace& space, const std::string& run, const std::string& pattern = "*") {
  const ProgramResult result = run_trireme({"checkpoint", "merge", space.path(run), "--output",
                                            space.path("all.safetensors"), "--overwrite", "--tensors", pattern});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  const std::string text = space.read("all.safetensors");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, text.data(), sizeof header_bytes);
  return text.substr(sizeof header_bytes + header_bytes);
}

/// Where a run begins, so that it can be seen which weights it had.
double first_loss(const Workspace& space, const std::string& run) {
  return space.log(run).front().at("loss").to_number<double>();
}

TEST(InitFrom, TakesAllWeightsFromAnyLayoutIntoAnyOther) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(train(space, "source", kTensor, {"--steps", "12", "--seed", "5"}).exit_code, 0);
  const std::string weights = parameters(space, "source");
  int number = 0;
  for (const Layout& layout : {kAlone, kTensor, kPipeline, kTensorAndPipeline, kZeroThree}) {
    const std::string run = "run" + std::to_string(number++);
    const ProgramResult result = train(space, run, layout, standstill({"--init-from", space.path("source")}));
    ASSERT_EQ(result.exit_code, 0) << result.error;
    EXPECT_NE(result.error.find("weights of 36 of 36 tensors, "), std::string::npos) << result.error;
    EXPECT_NE(result.error.find("source/checkpoints/step-000000012"), std::string::npos) << result.error;
    EXPECT_TRUE(parameters(space, run) == weights) << run;
    EXPECT_NEAR(first_loss(space, run), first_loss(space, "run0"), 1e-5 * first_loss(space, run)) << run;
  }
  // Progress and optimizer begin anew: the only step of the run is its first.
  const std::string manifest = space.read("run0/checkpoints/step-000000001/manifest.json");
  EXPECT_NE(manifest.find(R"("samples":8,"updates":1)"), std::string::npos) << manifest;
  EXPECT_LT(first_loss(space, "run0"), space.log("source").front().at("loss").to_number<double>() - 0.5);

  const std::string step = space.path("source/checkpoints/step-000000012");  // and in bf16, from the step itself
  for (const Layout& layout : {kPipeline, kZeroThree}) {
    const std::string run = "run" + std::to_string(number++);
    ASSERT_EQ(train(space, run, layout, standstill({"--init-from", step, "--precision", "bf16"})).exit_code, 0);
    EXPECT_TRUE(parameters(space, run) == weights) << run;
    EXPECT_NEAR(first_loss(space, run), first_loss(space, "run0"), 0.02) << "bf16 has 8 bits";
  }
}

TEST(InitFrom, PatternsChooseAndTheRestIsInitialised) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(train(space, "source", kPipeline, {"--steps", "6", "--seed", "5"}).exit_code, 0);
  ASSERT_EQ(train(space, "fresh", kAlone, standstill({})).exit_code, 0);
  const std::vector<std::string> more =
      standstill({"--init-from", space.path("source"), "--init-tensors", "layers.0.*", "embed_tokens.*"});
  for (const Layout& layout : {kAlone, kTensorAndPipeline}) {
    const std::string run = "run" + std::to_string(layout.ranks);
    const ProgramResult result = train(space, run, layout, more);
    ASSERT_EQ(result.exit_code, 0) << result.error;
    EXPECT_NE(result.error.find("weights of 17 of 36 tensors"), std::string::npos) << result.error;
    for (const char* taken : {"layers.0.*", "embed_tokens.*"}) {
      EXPECT_TRUE(parameters(space, run, taken) == parameters(space, "source", taken)) << run << " " << taken;
    }
    for (const char* initialised : {"layers.1.*", "embed_positions.*"}) {
      EXPECT_TRUE(parameters(space, run, initialised) == parameters(space, "fresh", initialised)) << run;
    }
  }
  const auto config = boost::json::parse(space.read("run1/config.json")).as_object();
  EXPECT_EQ(config.at("options").at("init-from"), boost::json::value(space.path("source")));
  EXPECT_EQ(config.at("options").at("init-tensors"), boost::json::value({"layers.0.*", "embed_tokens.*"}));
  EXPECT_EQ(config.at("initialized_from").at("step"), 6);
  EXPECT_EQ(config.at("initialized_from").at("tensors"), 17);
}

TEST(InitFrom, OfAnotherModelNamesTheTensorAndBothShapes) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(train(space, "source", kAlone, {"--steps", "1"}).exit_code, 0);
  const auto refused = [&](const std::string& model, const std::vector<std::string>& patterns) {
    space.write("model.json", R"({"model_type": "gpt2", "n_head": 2, "n_embd": 32, "vocab_size": 257, )" + model + "}");
    std::vector<std::string> more = standstill({"--init-from", space.path("source"), "--init-tensors"});
    more.insert(more.end(), patterns.begin(), patterns.end());
    return train(space, "run", kAlone, more);
  };
  expect_refused(refused(R"("n_layer": 2, "n_positions": 64)", {"*"}), 2,
                 "step-000000001: embed_positions.weight is (32, 32) there and (64, 32) in --model");
  expect_refused(refused(R"("n_layer": 3, "n_positions": 32)", {"layers.*"}), 2,
                 "has no tensor layers.2.input_layernorm.weight, which is (32) in --model");
  expect_refused(refused(R"("n_layer": 2, "n_positions": 32)", {"layers.*", "layer.0.*"}), 2,
                 "--init-tensors 'layer.0.*' matches no tensor of --model");
  EXPECT_FALSE(std::filesystem::exists(space.path("run")));
  const ProgramResult fits = refused(R"("n_layer": 3, "n_positions": 64)", {"layers.[01].*", "embed_tokens.*"});
  EXPECT_EQ(fits.exit_code, 0) << fits.error;
}

// A command that a scheduler starts again goes on from what it saved, even when the weights' source is gone by then.
TEST(InitFrom, IsLeftOutWhereTheRunGoesOn) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(train(space, "source", kAlone, {"--steps", "2", "--seed", "5"}).exit_code, 0);
  const std::vector<std::string> to_four{"--steps", "4", "--init-from", space.path("source")};
  std::vector<std::string> to_two = to_four;
  to_two.insert(to_two.end(), {"--stop-at-step", "2"});
  ASSERT_EQ(train(space, "straight", kAlone, to_four).exit_code, 0);
  ASSERT_EQ(train(space, "run", kAlone, to_two).exit_code, 0);
  std::filesystem::remove_all(space.path("source"));
  const ProgramResult result = train(space, "run", kAlone, to_four);
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("is for a new run and is left out: --run "), std::string::npos) << result.error;
  EXPECT_TRUE(parameters(space, "run") == parameters(space, "straight"));
  const auto config = boost::json::parse(space.read("run/config.json")).as_object();
  EXPECT_EQ(config.at("initialized_from").at("step"), 2);
  expect_refused(train(space, "new", kAlone, to_four), 2, "source: no such directory");
}

TEST(InitFrom, StepsBackFromADamagedStepOfARunAndStopsAtADamagedOneThatIsNamed) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(train(space, "source", kAlone, {"--steps", "4", "--checkpoint-every", "2"}).exit_code, 0);
  const std::string step = space.path("source/checkpoints/step-000000004");
  std::filesystem::resize_file(step + "/shard-00000-of-00001.h5", 5000);
  const ProgramResult named = train(space, "named", kAlone, standstill({"--init-from", step}));
  EXPECT_EQ(named.exit_code, 1);
  EXPECT_NE(named.error.find("step-000000004/shard-00000-of-00001.h5"), std::string::npos) << named.error;
  const ProgramResult of_run = train(space, "run", kAlone, standstill({"--init-from", space.path("source")}));
  ASSERT_EQ(of_run.exit_code, 0) << of_run.error;
  EXPECT_NE(of_run.error.find("checkpoint of step 4 is damaged: "), std::string::npos) << of_run.error;
  EXPECT_NE(of_run.error.find("from " + space.path("source/checkpoints/step-000000002")), std::string::npos);
}

}  // namespace
}  // namespace trireme::tests
