#include "model/config.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "model/learning_rate.h"
#include "model/parameters.h"
#include "runtime/error.h"

namespace trireme::tests {
namespace {

using model::ModelConfig;

ModelConfig parse(const std::string& text) {
  return model::parse_model_config(boost::json::parse(text).as_object(), "config.json");
}

std::string message(const std::string& text) {
  try {
    parse(text);
  } catch (const runtime::Error& error) {
    return error.what();
  }
  return "";
}

TEST(ModelConfig, AbsentKeysTakeTransformersDefaults) {
  const ModelConfig config = parse(R"({"model_type": "gpt2", "n_layer": 2, "n_inner": null})");
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.heads, 12);
  EXPECT_EQ(config.width, 768);
  EXPECT_EQ(config.feed_forward_width, 3072);
  EXPECT_EQ(config.vocabulary_size, 50257);
  EXPECT_TRUE(config.tied_embeddings);
}

TEST(ModelConfig, RoundTripsThroughJson) {
  const ModelConfig config = parse(R"({"model_type": "gpt2", "n_layer": 3, "n_head": 5, "n_embd": 40, "n_inner": 11,
      "layer_norm_epsilon": 1e-6, "tie_word_embeddings": false, "vocab_size": 7})");
  EXPECT_EQ(model::parse_model_config(to_json(config), "again"), config);
}

TEST(ModelConfig, MistakesNameFileKeyAndMend) {
  EXPECT_EQ(message(R"({"n_layer": 2})"), "config.json: no model_type; this version trains gpt2 and llama");
  EXPECT_EQ(message(R"({"model_type": "bert"})"),
            "config.json: model_type is 'bert'; this version trains gpt2 and llama");
  EXPECT_EQ(message(R"({"model_type": "gpt2", "n_head": 5})"),
            "config.json: n_head 5 does not divide n_embd 768; choose a width that is a multiple of the heads");
  EXPECT_EQ(message(R"({"model_type": "gpt2", "n_layer": "two"})"),
            "config.json: n_layer is \"two\", expected a whole number from 1 to 8191");
  EXPECT_EQ(message(R"({"model_type": "gpt2", "n_layer": 0})"),
            "config.json: n_layer is 0, expected a whole number from 1 to 8191");
  EXPECT_EQ(message(R"({"model_type": "gpt2", "activation_function": "relu"})"),
            "config.json: activation_function is 'relu'; the gpt2 family has gelu_new (gelu_pytorch_tanh is the same)");
}

TEST(ModelConfig, PresetsHaveThePublishedSizes) {
  // Parameter counts of the GPT-2 paper's models as transformers counts them.
  EXPECT_EQ(parameter_count(model::preset("gpt2-124m")), 124439808);
  EXPECT_EQ(parameter_count(model::preset("gpt2-350m")), 354823168);
  EXPECT_EQ(parameter_count(model::preset("gpt2-774m")), 774030080);
  EXPECT_EQ(parameter_count(model::preset("gpt2-1558m")), 1557611200);
  EXPECT_EQ(model::preset("nano").vocabulary_size, 0);
  EXPECT_THROW(model::preset("gpt2-125m"), runtime::Error);
}

TEST(ModelConfig, ParameterCountIsThatOfTheUnits) {
  for (const bool tied : {true, false}) {
    ModelConfig config = model::preset("gpt2-124m");
    config.tied_embeddings = tied;
    int64_t count = 0;
    for (const model::UnitDefinition& unit : model::define_units(config)) {
      for (const model::ParameterDefinition& parameter : unit.parameters) count += parameter.spec.box.elements();
    }
    EXPECT_EQ(parameter_count(config), count);
  }
}

TEST(LearningRate, WarmsUpAndDecays) {
  const model::LearningRate cosine{.peak = 1e-3, .minimum = 1e-4, .warmup_steps = 100, .steps = 2000};
  EXPECT_NEAR(learning_rate_at(cosine, 0), 1e-3 / 101, 1e-12);
  EXPECT_NEAR(learning_rate_at(cosine, 99), 1e-3 * 100 / 101, 1e-12);
  EXPECT_NEAR(learning_rate_at(cosine, 100), 1e-3, 1e-12);
  EXPECT_NEAR(learning_rate_at(cosine, 1050), (1e-3 + 1e-4) / 2, 1e-12);
  EXPECT_NEAR(learning_rate_at(cosine, 2000), 1e-4, 1e-12);
  EXPECT_NEAR(learning_rate_at(cosine, 5000), 1e-4, 1e-12);
}

TEST(LearningRate, FourSchedules) {
  model::LearningRate options{.peak = 1, .minimum = 0.1, .steps = 100};
  options.schedule = model::Schedule::constant;
  EXPECT_EQ(learning_rate_at(options, 99), 1);
  options.schedule = model::Schedule::linear;
  EXPECT_NEAR(learning_rate_at(options, 50), 0.55, 1e-12);
  options.schedule = model::Schedule::wsd;
  EXPECT_NEAR(learning_rate_at(options, 80), 1, 1e-12);
  EXPECT_NEAR(learning_rate_at(options, 90), 0.55, 1e-12);
  for (const char* text : {"constant", "linear", "cosine", "wsd"}) {
    EXPECT_EQ(name(*model::schedule_from_name(text)), text);
  }
  EXPECT_EQ(model::schedule_from_name("cosin"), std::nullopt);
}

}  // namespace
}  // namespace trireme::tests
