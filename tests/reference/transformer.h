// The GPT-2 model written once more, naively, in float64 and forward only: the oracle whose finite differences the
// gradients of the real one are held against. Parameters are looked up by name in a map of doubles.
#pragma once

#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "model/config.h"

namespace trireme::tests {

using Vector = std::vector<double>;
using Parameters = std::map<std::string, Vector>;

/// Rows of width `width` inside a flat vector.
struct Rows {
  Vector values;
  int64_t width = 0;

  Rows(int64_t rows, int64_t width_) : values(static_cast<size_t>(rows * width_), 0.0), width(width_) {}
  int64_t rows() const { return static_cast<int64_t>(values.size()) / width; }
  double& at(int64_t row, int64_t column) { return values[static_cast<size_t>(row * width + column)]; }
  double at(int64_t row, int64_t column) const { return values[static_cast<size_t>(row * width + column)]; }
};

inline Rows reference_norm(const Rows& x, const Vector& weight, const Vector& bias, double epsilon) {
  Rows y(x.rows(), x.width);
  for (int64_t i = 0; i < x.rows(); ++i) {
    double mean = 0;
    double variance = 0;
    for (int64_t c = 0; c < x.width; ++c) mean += x.at(i, c) / static_cast<double>(x.width);
    for (int64_t c = 0; c < x.width; ++c) variance += std::pow(x.at(i, c) - mean, 2) / static_cast<double>(x.width);
    for (int64_t c = 0; c < x.width; ++c) {
      y.at(i, c) = (x.at(i, c) - mean) / std::sqrt(variance + epsilon) * weight[static_cast<size_t>(c)] +
                   bias[static_cast<size_t>(c)];
    }
  }
  return y;
}

/// y = x w^T + bias; an empty bias is none.
inline Rows reference_linear(const Rows& x, const Vector& weight, const Vector& bias) {
  const int64_t outputs = static_cast<int64_t>(weight.size()) / x.width;
  Rows y(x.rows(), outputs);
  for (int64_t i = 0; i < x.rows(); ++i) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = bias.empty() ? 0 : bias[static_cast<size_t>(o)];
      for (int64_t c = 0; c < x.width; ++c) sum += x.at(i, c) * weight[static_cast<size_t>(o * x.width + c)];
      y.at(i, o) = sum;
    }
  }
  return y;
}

inline double reference_gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

/// Causal attention of B sequences of T rows; q, k, v (B*T, H*D).
inline Rows reference_attention(const Rows& q, const Rows& k, const Rows& v, int64_t T, int64_t H) {
  Rows y(q.rows(), q.width);
  const int64_t D = q.width / H;
  for (int64_t i = 0; i < q.rows(); ++i) {
    const int64_t first = i / T * T;
    for (int64_t h = 0; h < H; ++h) {
      Vector weights;
      double sum = 0;
      for (int64_t j = first; j <= i; ++j) {
        double score = 0;
        for (int64_t d = h * D; d < (h + 1) * D; ++d) score += q.at(i, d) * k.at(j, d);
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(D))));
        sum += weights.back();
      }
      for (int64_t j = first; j <= i; ++j) {
        for (int64_t d = h * D; d < (h + 1) * D; ++d)
          y.at(i, d) += weights[static_cast<size_t>(j - first)] / sum * v.at(j, d);
      }
    }
  }
  return y;
}

inline void add_rows(Rows& x, const Rows& branch) {
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += branch.values[i];
}

inline void reference_block(Rows& x, const model::ModelConfig& config, const Parameters& p, const std::string& prefix,
                            int64_t T) {
  const auto named = [&](const std::string& name) -> const Vector& { return p.at(prefix + name); };
  const Rows n1 =
      reference_norm(x, named("input_layernorm.weight"), named("input_layernorm.bias"), config.norm_epsilon);
  const Rows q = reference_linear(n1, named("self_attn.q_proj.weight"), named("self_attn.q_proj.bias"));
  const Rows k = reference_linear(n1, named("self_attn.k_proj.weight"), named("self_attn.k_proj.bias"));
  const Rows v = reference_linear(n1, named("self_attn.v_proj.weight"), named("self_attn.v_proj.bias"));
  const Rows heads = reference_attention(q, k, v, T, config.heads);
  add_rows(x, reference_linear(heads, named("self_attn.o_proj.weight"), named("self_attn.o_proj.bias")));
  const Rows n2 = reference_norm(x, named("post_attention_layernorm.weight"), named("post_attention_layernorm.bias"),
                                 config.norm_epsilon);
  Rows hidden = reference_linear(n2, named("mlp.up_proj.weight"), named("mlp.up_proj.bias"));
  for (double& value : hidden.values) value = reference_gelu(value);
  add_rows(x, reference_linear(hidden, named("mlp.down_proj.weight"), named("mlp.down_proj.bias")));
}

/// Logits (N, V) of sequences of T tokens.
inline Rows reference_logits(const model::ModelConfig& config, const Parameters& p, const std::vector<int32_t>& tokens,
                             int64_t T) {
  const int64_t C = config.width;
  Rows x(static_cast<int64_t>(tokens.size()), C);
  for (int64_t i = 0; i < x.rows(); ++i) {
    for (int64_t c = 0; c < C; ++c) {
      x.at(i, c) = p.at("embed_tokens.weight")[static_cast<size_t>(tokens[static_cast<size_t>(i)] * C + c)] +
                   p.at("embed_positions.weight")[static_cast<size_t>(i % T * C + c)];
    }
  }
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    reference_block(x, config, p, "layers." + std::to_string(layer) + ".", T);
  }
  const Rows y = reference_norm(x, p.at("norm.weight"), p.at("norm.bias"), config.norm_epsilon);
  return reference_linear(y, config.tied_embeddings ? p.at("embed_tokens.weight") : p.at("lm_head.weight"), {});
}

/// Sum over target tokens of -log p(target); negative targets are none.
inline double reference_loss(const model::ModelConfig& config, const Parameters& p, const std::vector<int32_t>& tokens,
                             const std::vector<int32_t>& targets, int64_t T) {
  const Rows logits = reference_logits(config, p, tokens, T);
  double loss = 0;
  for (int64_t i = 0; i < logits.rows(); ++i) {
    const int32_t target = targets[static_cast<size_t>(i)];
    if (target < 0) continue;
    double sum = 0;
    for (int64_t v = 0; v < logits.width; ++v) sum += std::exp(logits.at(i, v));
    loss += std::log(sum) - logits.at(i, target);
  }
  return loss;
}

}  // namespace trireme::tests
