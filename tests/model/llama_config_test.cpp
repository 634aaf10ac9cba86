// The llama family's config.json, and the presets against shapes worked out by hand.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "model/config.h"
#include "model/parameters.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {
namespace {

using model::ModelConfig;

/// A llama config.json of these keys.
ModelConfig parse(const std::string& keys) {
  const std::string text = R"({"model_type": "llama")" + (keys.empty() ? "" : ", " + keys) + "}";
  return model::parse_model_config(boost::json::parse(text).as_object(), "config.json");
}

/// Every part of `parts` is in the message that the keys are refused with, and so is the file's name.
void expect_refused(const std::string& keys, const std::vector<std::string>& parts) {
  const std::string message = error_message([&] { parse(keys); });
  EXPECT_TRUE(message.starts_with("config.json: ")) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
}

TEST(LlamaConfig, AbsentKeysTakeTransformersDefaults) {
  // transformers' LlamaConfig().
  const ModelConfig config = parse("");
  const ModelConfig expected{.family = "llama",
                             .layers = 32,
                             .heads = 32,
                             .kv_heads = 32,
                             .width = 4096,
                             .head_width = 128,
                             .feed_forward_width = 11008,
                             .positions = 2048,
                             .vocabulary_size = 32000,
                             .norm = model::NormKind::rms_norm,
                             .position = model::PositionKind::rope,
                             .activation = model::ActivationKind::swiglu,
                             .attention_bias = false,
                             .feed_forward_bias = false,
                             .rope_theta = 10000,
                             .norm_epsilon = 1e-6,
                             .initializer_range = 0.02,
                             .tied_embeddings = false};
  EXPECT_EQ(config, expected) << boost::json::serialize(to_json(config));
  // null is absent: transformers itself writes "head_dim": null, "rope_scaling": null and the like.
  EXPECT_EQ(parse(R"("num_key_value_heads": null, "head_dim": null, "rope_scaling": null, "rope_parameters": null)"),
            expected);
}

TEST(LlamaConfig, ReadsEveryKey) {
  const ModelConfig config = parse(R"("hidden_size": 21, "intermediate_size": 50, "num_hidden_layers": 3,
      "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 10, "hidden_act": "silu",
      "max_position_embeddings": 77, "initializer_range": 0.5, "rms_norm_eps": 1e-3, "tie_word_embeddings": true,
      "rope_theta": 500000.0, "attention_bias": true, "mlp_bias": true, "vocab_size": 37)");
  const ModelConfig expected{.family = "llama",
                             .layers = 3,
                             .heads = 6,
                             .kv_heads = 2,
                             .width = 21,
                             .head_width = 10,
                             .feed_forward_width = 50,
                             .positions = 77,
                             .vocabulary_size = 37,
                             .norm = model::NormKind::rms_norm,
                             .position = model::PositionKind::rope,
                             .activation = model::ActivationKind::swiglu,
                             .attention_bias = true,
                             .feed_forward_bias = true,
                             .rope_theta = 500000,
                             .norm_epsilon = 1e-3,
                             .initializer_range = 0.5,
                             .tied_embeddings = true};
  EXPECT_EQ(config, expected) << boost::json::serialize(to_json(config));
}

TEST(LlamaConfig, HeadWidthAndKeyValueHeadsFollowTheHeads) {
  const ModelConfig config = parse(R"("hidden_size": 96, "num_attention_heads": 8)");
  EXPECT_EQ(config.kv_heads, 8);
  EXPECT_EQ(config.head_width, 12);
}

TEST(LlamaConfig, RopeParametersAreTheNewerFormOfTheta) {
  // transformers 5 writes rope_parameters, 4 writes rope_theta and rope_scaling.
  EXPECT_EQ(parse(R"("rope_parameters": {"rope_theta": 500000, "rope_type": "default"})").rope_theta, 500000);
  EXPECT_EQ(parse(R"("rope_parameters": {"rope_type": "default"})").rope_theta, 10000);
}

TEST(LlamaConfig, RoundTripsThroughJson) {
  for (const char* keys :
       {"",
        R"("hidden_size": 21, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 6, "vocab_size": 7,
           "intermediate_size": 9, "num_hidden_layers": 1, "max_position_embeddings": 5, "rms_norm_eps": 1e-5,
           "initializer_range": 0.1, "tie_word_embeddings": true)",
        R"("rope_parameters": {"rope_theta": 123456.5, "rope_type": "default"}, "attention_bias": true)",
        R"("mlp_bias": true)"}) {
    const ModelConfig config = parse(keys);
    const std::string text = boost::json::serialize(to_json(config));
    EXPECT_EQ(model::parse_model_config(boost::json::parse(text).as_object(), "again"), config) << text;
  }
}

TEST(LlamaConfig, MistakesNameKeyAndMend) {
  expect_refused(R"("num_key_value_head": 2)", {"num_key_value_head", "num_key_value_heads"});
  expect_refused(R"("hiden_size": 64)", {"hiden_size", "hidden_size"});
  expect_refused(R"("partial_rotary_factor": 0.5)", {"partial_rotary_factor"});
  expect_refused(R"("num_attention_heads": 4096, "head_dim": 8192)", {"num_attention_heads", "head_dim", "smaller"});
  expect_refused(R"("rope_scaling": {"rope_type": "llama3", "factor": 32.0})", {"rope_scaling", "llama3", "remove it"});
  expect_refused(R"("rope_parameters": {"rope_theta": 500000, "rope_type": "llama3"})",
                 {"rope_parameters", "rope_type", "llama3", "default"});
  expect_refused(R"("hidden_act": "gelu")", {"hidden_act", "gelu", "silu"});
  expect_refused(R"("num_attention_heads": 6, "hidden_size": 96, "num_key_value_heads": 4)",
                 {"num_key_value_heads", "4", "num_attention_heads", "6"});
  expect_refused(R"("head_dim": 65)", {"head_dim", "65", "even"});
  // 100 / 4 is odd: the head_dim that is wrong was not given, and has to be named all the same.
  expect_refused(R"("hidden_size": 100, "num_attention_heads": 4)", {"head_dim", "25", "even"});
  expect_refused(R"("hidden_size": 100, "num_attention_heads": 7)", {"num_attention_heads", "7", "hidden_size", "100"});
  expect_refused(R"("num_hidden_layers": 0)", {"num_hidden_layers", "0"});
  expect_refused(R"("hidden_size": "wide")", {"hidden_size", "wide"});
  expect_refused(R"("rms_norm_eps": 0)", {"rms_norm_eps", "0"});
  expect_refused(R"("rope_theta": -1)", {"rope_theta", "-1"});
  expect_refused(R"("attention_bias": 1)", {"attention_bias", "1"});
}

TEST(LlamaConfig, PresetsHaveThePublishedSizes) {
  // By hand, from the model cards' shapes: embedding and head (V C each, one when tied), then per layer q and o
  // (2 C H D), k and v (2 C K D), gate, up and down (3 C F), two norms (2 C), and the last norm (C).
  EXPECT_EQ(parameter_count(model::preset("llama-1b")),
            128256ll * 2048 + 16 * (2ll * 2048 * 2048 + 2ll * 2048 * 512 + 3ll * 2048 * 8192 + 2 * 2048) + 2048);
  EXPECT_EQ(parameter_count(model::preset("llama-1b")), 1235814400);
  EXPECT_EQ(parameter_count(model::preset("llama-8b")),
            2 * 128256ll * 4096 + 32 * (2ll * 4096 * 4096 + 2ll * 4096 * 1024 + 3ll * 4096 * 14336 + 2 * 4096) + 4096);
  EXPECT_EQ(parameter_count(model::preset("llama-8b")), 8030261248);
  EXPECT_EQ(parameter_count(model::preset("llama-70b")),
            2 * 128256ll * 8192 + 80 * (2ll * 8192 * 8192 + 2ll * 8192 * 1024 + 3ll * 8192 * 28672 + 2 * 8192) + 8192);
  EXPECT_EQ(parameter_count(model::preset("llama-70b")), 70553706496);
  for (const char* name : {"llama-1b", "llama-8b", "llama-70b"}) {
    const ModelConfig config = model::preset(name);
    EXPECT_EQ(config.vocabulary_size, 128256) << name;
    EXPECT_EQ(config.positions, 8192) << name;
    EXPECT_EQ(config.rope_theta, 500000) << name;
    EXPECT_EQ(config.norm_epsilon, 1e-5) << name;
    EXPECT_EQ(config.tied_embeddings, std::string(name) == "llama-1b") << name;
    EXPECT_EQ(parameter_count_for_mfu(config), parameter_count(config)) << name;  // no table of positions
  }
}

TEST(LlamaConfig, ParameterCountIsThatOfTheUnits) {
  for (const char* keys : {R"("tie_word_embeddings": false)", R"("tie_word_embeddings": true)",
                           R"("attention_bias": true, "head_dim": 48)", R"("mlp_bias": true)"}) {
    const ModelConfig config = parse(keys);
    int64_t count = 0;
    for (const model::UnitDefinition& unit : model::define_units(config)) {
      for (const model::ParameterDefinition& parameter : unit.parameters) count += parameter.spec.box.elements();
    }
    EXPECT_EQ(parameter_count(config), count) << keys;
  }
}

TEST(LlamaConfig, ParametersHaveTheFieldsNamesAndShapes) {
  const ModelConfig config = parse(R"("hidden_size": 21, "intermediate_size": 50, "num_hidden_layers": 1,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 37)");
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const model::UnitDefinition& unit : model::define_units(config)) {
    for (const model::ParameterDefinition& parameter : unit.parameters) {
      EXPECT_TRUE(shapes.emplace(parameter.spec.name, parameter.spec.global_shape).second) << parameter.spec.name;
    }
  }
  const std::map<std::string, std::vector<int64_t>> expected = {{"embed_tokens.weight", {37, 21}},
                                                                {"layers.0.input_layernorm.weight", {21}},
                                                                {"layers.0.self_attn.q_proj.weight", {24, 21}},
                                                                {"layers.0.self_attn.k_proj.weight", {12, 21}},
                                                                {"layers.0.self_attn.v_proj.weight", {12, 21}},
                                                                {"layers.0.self_attn.o_proj.weight", {21, 24}},
                                                                {"layers.0.post_attention_layernorm.weight", {21}},
                                                                {"layers.0.mlp.gate_proj.weight", {50, 21}},
                                                                {"layers.0.mlp.up_proj.weight", {50, 21}},
                                                                {"layers.0.mlp.down_proj.weight", {21, 50}},
                                                                {"norm.weight", {21}},
                                                                {"lm_head.weight", {37, 21}}};
  EXPECT_EQ(shapes, expected);
}

}  // namespace
}  // namespace trireme::tests
