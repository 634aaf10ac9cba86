// The whole model of either family in float64 and forward only, from the naive layers of layers.h.
#pragma once

#include <string>
#include <vector>

#include "tests/reference/layers.h"

namespace trireme::tests {

/// x += attention(norm1(x)); x += feed_forward(norm2(x)).
inline void reference_block(const model::ModelConfig& config, Rows& x, const Parameters& p, const std::string& prefix,
                            int64_t T) {
  const Rows n1 = reference_norm(config, x, p, prefix + "input_layernorm");
  add_rows(x, reference_attention(config, n1, p, prefix + "self_attn", T));
  const Rows n2 = reference_norm(config, x, p, prefix + "post_attention_layernorm");
  add_rows(x, reference_feed_forward(config, n2, p, prefix + "mlp"));
}

/// Logits (N, V) of sequences of T tokens.
inline Rows reference_logits(const model::ModelConfig& config, const Parameters& p, const std::vector<int32_t>& tokens,
                             int64_t T) {
  Rows x = reference_embedding(config, p, tokens, T);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    reference_block(config, x, p, "layers." + std::to_string(layer) + ".", T);
  }
  return reference_logits_of(config, reference_norm(config, x, p, "norm"), p);
}

/// Sum over target tokens of -log p(target); negative targets are none.
inline double reference_loss(const model::ModelConfig& config, const Parameters& p, const std::vector<int32_t>& tokens,
                             const std::vector<int32_t>& targets, int64_t T) {
  return reference_cross_entropy(reference_logits(config, p, tokens, T), targets);
}

}  // namespace trireme::tests
