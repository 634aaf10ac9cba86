#include "model/config.h"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <span>

#include "model/presets.h"
#include "runtime/error.h"

namespace trireme::model {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

/// A layer's number has 13 bits in the site of a dropout (DESIGN, "Randomness").
constexpr int64_t kMaxLayers = (int64_t{1} << 13) - 1;

/// One config.json, with errors that name it.
class ConfigReader {
 public:
  ConfigReader(const json::object& object, const std::string& source) : object_(object), source_(source) {}

  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorKind::usage, source_ + ": " + what); }

  /// In [least, most]; the default bound keeps every product of two sizes far inside 64 bits.
  int64_t whole_number(const char* key, int64_t fallback, int64_t least, int64_t most = int64_t{1} << 24) const {
    const json::value* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_int64() || value->as_int64() < least || value->as_int64() > most) {
      fail(std::string(key) + " is " + json::serialize(*value) + ", expected a whole number from " +
           std::to_string(least) + " to " + std::to_string(most));
    }
    return value->as_int64();
  }

  /// Keys that would change the mathematics may only have the value that this program computes with.
  void must_be(const char* key, bool supported) const {
    if (flag(key, supported) == supported) return;
    fail(std::string(key) + " is " + (supported ? "false" : "true") + "; this version only trains models with " +
         (supported ? "true" : "false"));
  }

  /// GPT-2's sizes are called n_...: one that is not known is a mistake, not an extension.
  void refuse_unknown_sizes(std::span<const std::string_view> known) const {
    for (const auto& [key, value] : object_) {
      const std::string_view name(key.data(), key.size());
      if (!name.starts_with("n_") || std::ranges::find(known, name) != known.end()) continue;
      std::string names;
      for (std::string_view one : known) names += (names.empty() ? "" : ", ") + std::string(one);
      fail("unknown key " + std::string(name) + "; the sizes are " + names);
    }
  }

  double positive(const char* key, double fallback) const {
    const json::value* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number() || !(value->to_number<double>() > 0) || !std::isfinite(value->to_number<double>())) {
      fail(std::string(key) + " is " + json::serialize(*value) + ", expected a number above 0");
    }
    return value->to_number<double>();
  }

  std::string text(const char* key, const std::string& fallback) const {
    const json::value* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) fail(std::string(key) + " is " + json::serialize(*value) + ", expected a string");
    return std::string(value->as_string());
  }

  bool flag(const char* key, bool fallback) const {
    const json::value* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_bool()) fail(std::string(key) + " is " + json::serialize(*value) + ", expected true or false");
    return value->as_bool();
  }

 private:
  /// Absent and null mean the same, as in transformers.
  const json::value* find(const char* key) const {
    const json::value* value = object_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  const json::object& object_;
  const std::string& source_;
};

ModelConfig parse_gpt2(const ConfigReader& read) {
  static constexpr std::array<std::string_view, 6> kSizes = {"n_ctx",   "n_embd",  "n_head",
                                                             "n_inner", "n_layer", "n_positions"};
  read.refuse_unknown_sizes(kSizes);
  read.must_be("scale_attn_weights", true);
  read.must_be("scale_attn_by_inverse_layer_idx", false);
  read.must_be("add_cross_attention", false);
  ModelConfig config;
  config.layers = read.whole_number("n_layer", 12, 1, kMaxLayers);
  config.heads = read.whole_number("n_head", 12, 1);
  config.kv_heads = config.heads;
  config.width = read.whole_number("n_embd", 768, 1);
  config.head_width = config.width / config.heads;
  config.feed_forward_width = read.whole_number("n_inner", 4 * config.width, 1);
  config.positions = read.whole_number("n_positions", 1024, 1);
  config.vocabulary_size = read.whole_number("vocab_size", 50257, 0);
  config.norm_epsilon = read.positive("layer_norm_epsilon", 1e-5);
  config.initializer_range = read.positive("initializer_range", 0.02);
  config.tied_embeddings = read.flag("tie_word_embeddings", true);
  const std::string activation = read.text("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    read.fail("activation_function is '" + activation +
              "'; the gpt2 family has gelu_new (gelu_pytorch_tanh is the same)");
  }
  return config;
}

int64_t layer_parameters(const ModelConfig& config) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const int64_t qkv_width = (config.heads + 2 * config.kv_heads) * config.head_width;
  return 4 * C + (C + 1) * qkv_width + C * (C + 1) + (C + 1) * F + (F + 1) * C;
}

}  // namespace

ModelConfig parse_model_config(const json::object& object, const std::string& source) {
  const ConfigReader read(object, source);
  const std::string family = read.text("model_type", "");
  if (family.empty()) read.fail("no model_type; this version trains gpt2");
  if (family != "gpt2") read.fail("model_type is '" + family + "'; this version trains gpt2");
  const ModelConfig config = parse_gpt2(read);
  if (config.width % config.heads != 0) {
    read.fail("n_head " + std::to_string(config.heads) + " does not divide n_embd " + std::to_string(config.width) +
              "; choose a width that is a multiple of the heads");
  }
  return config;
}

json::object to_json(const ModelConfig& config) {
  return {{"model_type", config.family},
          {"n_layer", config.layers},
          {"n_head", config.heads},
          {"n_embd", config.width},
          {"n_inner", config.feed_forward_width},
          {"n_positions", config.positions},
          {"vocab_size", config.vocabulary_size},
          {"layer_norm_epsilon", config.norm_epsilon},
          {"initializer_range", config.initializer_range},
          {"activation_function", "gelu_new"},
          {"tie_word_embeddings", config.tied_embeddings}};
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const PresetText& text : preset_texts()) names.emplace_back(text.name);
  return names;
}

ModelConfig preset(const std::string& name) {
  std::string known;
  for (const PresetText& text : preset_texts()) {
    if (text.name == name) {
      const std::string_view source(text.json);
      return parse_model_config(json::parse({source.data(), source.size()}).as_object(), "preset " + name);
    }
    known += (known.empty() ? "" : ", ") + std::string(text.name);
  }
  throw Error(ErrorKind::usage, "--model: there is no preset '" + name + "' and no such file; presets: " + known);
}

int64_t parameter_count(const ModelConfig& config) {
  return parameter_count_for_mfu(config) + config.positions * config.width;
}

int64_t parameter_count_for_mfu(const ModelConfig& config) {
  const int64_t table = config.vocabulary_size * config.width;
  return table * (config.tied_embeddings ? 1 : 2) + config.layers * layer_parameters(config) + 2 * config.width;
}

double flops_per_token(const ModelConfig& config, int64_t sequence_length) {
  return 6.0 * static_cast<double>(parameter_count_for_mfu(config)) +
         6.0 * static_cast<double>(config.layers * config.width * sequence_length);
}

}  // namespace trireme::model
