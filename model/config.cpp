#include "model/config.h"

#include <boost/json/parse.hpp>

#include "model/presets.h"
#include "runtime/error.h"

namespace trireme::model {

using runtime::Error;
using runtime::ErrorKind;

namespace {

int64_t layer_parameters(const ModelConfig& config) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const int64_t heads_width = config.heads * config.head_width;
  const int64_t qkv_width = (config.heads + 2 * config.kv_heads) * config.head_width;
  const int64_t up_width = config.activation == ActivationKind::swiglu ? 2 * F : F;
  const int64_t norms = 2 * (config.norm == NormKind::layer_norm ? 2 : 1) * C;
  const int64_t attention_biases = config.attention_bias ? qkv_width + C : 0;
  const int64_t feed_forward_biases = config.feed_forward_bias ? up_width + C : 0;
  return norms + C * (qkv_width + heads_width + up_width + F) + attention_biases + feed_forward_biases;
}

}  // namespace

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
      return parse_model_config(boost::json::parse({source.data(), source.size()}).as_object(), "preset " + name);
    }
    known += (known.empty() ? "" : ", ") + std::string(text.name);
  }
  throw Error(ErrorKind::usage, "--model: there is no preset '" + name + "' and no such file; presets: " + known);
}

int64_t parameter_count(const ModelConfig& config) {
  return parameter_count_for_mfu(config) +
         (config.position == PositionKind::learned ? config.positions * config.width : 0);
}

int64_t parameter_count_for_mfu(const ModelConfig& config) {
  const int64_t table = config.vocabulary_size * config.width;
  const int64_t final_norm = (config.norm == NormKind::layer_norm ? 2 : 1) * config.width;
  return table * (config.tied_embeddings ? 1 : 2) + config.layers * layer_parameters(config) + final_norm;
}

double flops_per_token(const ModelConfig& config, int64_t sequence_length) {
  return 6.0 * static_cast<double>(parameter_count_for_mfu(config)) +
         6.0 * static_cast<double>(config.layers * config.heads * config.head_width * sequence_length);
}

double model_utilisation(double tokens_per_second, double flops_per_token, double peak_flops_per_second,
                         int64_t ranks) {
  return tokens_per_second * flops_per_token / (peak_flops_per_second * static_cast<double>(ranks));
}

}  // namespace trireme::model
