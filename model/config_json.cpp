// config.json of each family: Hugging Face's keys to a ModelConfig and back.
#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <span>

#include "model/config.h"
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
  ConfigReader(const json::object& object, std::string source) : object_(object), source_(std::move(source)) {}

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

  /// GPT-2's sizes are called n_..., Llama's num_... or ..._size: one that is not known is a mistake, not an extension.
  template <typename IsSize>
  void refuse_unknown_sizes(IsSize is_size, std::span<const std::string_view> known) const {
    for (const auto& [key, value] : object_) {
      const std::string_view name(key.data(), key.size());
      if (!is_size(name) || std::ranges::find(known, name) != known.end()) continue;
      std::string names;
      for (std::string_view one : known) names += (names.empty() ? "" : ", ") + std::string(one);
      fail("unknown key " + std::string(name) + "; the sizes are " + names);
    }
  }

  /// The object under `key`, or nothing.
  const json::object* section(const char* key) const {
    const json::value* value = find(key);
    if (value == nullptr) return nullptr;
    if (!value->is_object()) fail(std::string(key) + " is " + json::serialize(*value) + ", expected an object or null");
    return &value->as_object();
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

  bool has(const char* key) const { return find(key) != nullptr; }

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
  std::string source_;
};

ModelConfig parse_gpt2(const ConfigReader& read) {
  static constexpr std::array<std::string_view, 6> kSizes = {"n_ctx",   "n_embd",  "n_head",
                                                             "n_inner", "n_layer", "n_positions"};
  read.refuse_unknown_sizes([](std::string_view name) { return name.starts_with("n_"); }, kSizes);
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
  if (config.width % config.heads != 0) {
    read.fail("n_head " + std::to_string(config.heads) + " does not divide n_embd " + std::to_string(config.width) +
              "; choose a width that is a multiple of the heads");
  }
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    read.fail("activation_function is '" + activation +
              "'; the gpt2 family has gelu_new (gelu_pytorch_tanh is the same)");
  }
  return config;
}

/// The base of the rotations: transformers 4 writes rope_theta and rope_scaling, transformers 5 rope_parameters.
double parse_rope_theta(const ConfigReader& read, const std::string& source) {
  double theta = read.positive("rope_theta", 10000);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const json::object* section = read.section(key);
    if (section == nullptr) continue;
    const ConfigReader rope(*section, source + ": " + key);
    const std::string type = rope.text("rope_type", rope.text("type", "default"));
    if (type != "default") {
      read.fail(std::string(key) + " has rope_type '" + type +
                "'; this version only trains models with plain rope: remove it, or set rope_type to default");
    }
    theta = rope.positive("rope_theta", theta);
  }
  return theta;
}

void check_llama_heads(const ConfigReader& read, const ModelConfig& config) {
  if (config.heads % config.kv_heads != 0) {
    read.fail("num_key_value_heads " + std::to_string(config.kv_heads) + " does not divide num_attention_heads " +
              std::to_string(config.heads) + "; choose a divisor");
  }
  if (!read.has("head_dim") && config.width % config.heads != 0) {
    read.fail("num_attention_heads " + std::to_string(config.heads) + " does not divide hidden_size " +
              std::to_string(config.width) + "; choose a width that is a multiple of the heads, or give head_dim");
  }
  if (config.heads * config.head_width > int64_t{1} << 24) {
    read.fail("num_attention_heads " + std::to_string(config.heads) + " times head_dim " +
              std::to_string(config.head_width) + " is beyond 16,777,216; choose smaller ones");
  }
  if (config.head_width % 2 != 0) {
    read.fail("head_dim is " + std::to_string(config.head_width) +
              " (hidden_size / num_attention_heads where it is "
              "not given); rope turns pairs of channels: choose an even one");
  }
}

ModelConfig parse_llama(const ConfigReader& read, const std::string& source) {
  static constexpr std::array<std::string_view, 6> kSizes = {"hidden_size",         "intermediate_size",
                                                             "vocab_size",          "num_hidden_layers",
                                                             "num_attention_heads", "num_key_value_heads"};
  // Of generation and classification; older files carry them.
  static constexpr std::array<std::string_view, 4> kOfOthers = {"num_beams", "num_beam_groups", "num_return_sequences",
                                                                "num_labels"};
  read.refuse_unknown_sizes(
      [](std::string_view name) {
        return (name.starts_with("num_") || name.ends_with("_size")) &&
               std::ranges::find(kOfOthers, name) == kOfOthers.end();
      },
      kSizes);
  if (read.positive("partial_rotary_factor", 1) != 1) {
    read.fail("partial_rotary_factor is not 1; this version only trains models that rotate whole heads");
  }
  ModelConfig config;
  config.family = "llama";
  config.norm = NormKind::rms_norm;
  config.position = PositionKind::rope;
  config.activation = ActivationKind::swiglu;
  config.layers = read.whole_number("num_hidden_layers", 32, 1, kMaxLayers);
  config.heads = read.whole_number("num_attention_heads", 32, 1);
  config.kv_heads = read.whole_number("num_key_value_heads", config.heads, 1);
  config.width = read.whole_number("hidden_size", 4096, 1);
  config.head_width = read.whole_number("head_dim", std::max<int64_t>(1, config.width / config.heads), 1);
  config.feed_forward_width = read.whole_number("intermediate_size", 11008, 1);
  config.positions = read.whole_number("max_position_embeddings", 2048, 1);
  config.vocabulary_size = read.whole_number("vocab_size", 32000, 0);
  config.attention_bias = read.flag("attention_bias", false);
  config.feed_forward_bias = read.flag("mlp_bias", false);
  config.rope_theta = parse_rope_theta(read, source);
  config.norm_epsilon = read.positive("rms_norm_eps", 1e-6);
  config.initializer_range = read.positive("initializer_range", 0.02);
  config.tied_embeddings = read.flag("tie_word_embeddings", false);
  const std::string activation = read.text("hidden_act", "silu");
  if (activation != "silu") read.fail("hidden_act is '" + activation + "'; the llama family has silu");
  check_llama_heads(read, config);
  return config;
}

json::object gpt2_json(const ModelConfig& config) {
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

/// Both generations of keys for rope: transformers 4 would silently fall back to theta 10000 without its own.
json::object llama_json(const ModelConfig& config) {
  return {{"model_type", config.family},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"num_key_value_heads", config.kv_heads},
          {"hidden_size", config.width},
          {"head_dim", config.head_width},
          {"intermediate_size", config.feed_forward_width},
          {"max_position_embeddings", config.positions},
          {"vocab_size", config.vocabulary_size},
          {"attention_bias", config.attention_bias},
          {"mlp_bias", config.feed_forward_bias},
          {"rope_theta", config.rope_theta},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", config.rope_theta}}},
          {"rms_norm_eps", config.norm_epsilon},
          {"initializer_range", config.initializer_range},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", config.tied_embeddings}};
}

}  // namespace

ModelConfig parse_model_config(const json::object& object, const std::string& source) {
  const ConfigReader read(object, source);
  const std::string family = read.text("model_type", "");
  if (family == "gpt2") return parse_gpt2(read);
  if (family == "llama") return parse_llama(read, source);
  read.fail((family.empty() ? "no model_type" : "model_type is '" + family + "'") +
            std::string("; this version trains gpt2 and llama"));
}

json::object to_json(const ModelConfig& config) {
  return config.family == "llama" ? llama_json(config) : gpt2_json(config);
}

}  // namespace trireme::model
