// What a model is: sizes and choices, read from a config.json with Hugging Face's keys or from a preset of that form.
// Families differ by these values, not by code of their own.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::model {

/// How layers norm, know positions and bend; a family is a set of these.
enum class NormKind { layer_norm, rms_norm };
enum class PositionKind { learned, rope };
enum class ActivationKind { gelu, swiglu };

struct ModelConfig {
  std::string family = "gpt2";        ///< Hugging Face's model_type: gpt2 or llama
  int64_t layers = 12;                ///< L
  int64_t heads = 12;                 ///< H
  int64_t kv_heads = 12;              ///< K, divides heads
  int64_t width = 768;                ///< C
  int64_t head_width = 64;            ///< D; H D may differ from C
  int64_t feed_forward_width = 3072;  ///< F
  int64_t positions = 1024;           ///< longest sequence
  int64_t vocabulary_size = 50257;    ///< V; 0 in a preset: that of the data's tokenizer
  NormKind norm = NormKind::layer_norm;
  PositionKind position = PositionKind::learned;
  ActivationKind activation = ActivationKind::gelu;
  bool attention_bias = true;     ///< of q, k, v and o projections
  bool feed_forward_bias = true;  ///< of the feed-forward projections
  double rope_theta = 10000;      ///< with PositionKind::rope
  double norm_epsilon = 1e-5;
  double initializer_range = 0.02;
  bool tied_embeddings = true;

  bool operator==(const ModelConfig&) const = default;
};

/// From Hugging Face's keys of model_type gpt2 or llama (model/README.md lists them); absent ones take transformers'
/// defaults. Dropout keys are ignored: --dropout decides. Throws Error(usage) naming `source`, the key and the mend.
ModelConfig parse_model_config(const boost::json::object& json, const std::string& source);

/// The same keys back.
boost::json::object to_json(const ModelConfig& config);

std::vector<std::string> preset_names();
/// Throws Error(usage) naming --model and the presets there are.
ModelConfig preset(const std::string& name);

/// All parameters, a tied table counted once; and N of the model flops, without the position table. An untied input
/// table is in N, as in the usual count, though it is only looked up: for llama-8b 6.5% of N.
int64_t parameter_count(const ModelConfig& config);
int64_t parameter_count_for_mfu(const ModelConfig& config);

/// Model flops of one token at sequence length T: 6 N + 6 L C T (N without the position table, attention causal counted
/// once; C is H D, which most models have equal).
double flops_per_token(const ModelConfig& config, int64_t sequence_length);

/// mfu: the model's flops per second in parts of what `ranks` ranks could do at their peak.
double model_utilisation(double tokens_per_second, double flops_per_token, double peak_flops_per_second, int64_t ranks);

}  // namespace trireme::model
