// The layers of a decoder-only transformer written once more, naively, in float64 and forward only: what the layers of
// `model` and their gradients are held against. Every choice of ModelConfig is here; parameters are looked up by their
// global names in a map of doubles, and a bias that is not in the map is none.
#pragma once

#include <cmath>
#include <cstdint>
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

inline void add_rows(Rows& x, const Rows& branch) {
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += branch.values[i];
}

/// The parameter of that name, or an empty vector.
inline const Vector& optional_parameter(const Parameters& p, const std::string& name) {
  static const Vector none;
  const auto found = p.find(name);
  return found == p.end() ? none : found->second;
}

/// y = x w^T + b with `name`.weight (outputs, x.width) and, where there is one, `name`.bias.
inline Rows reference_linear(const Rows& x, const Parameters& p, const std::string& name) {
  const Vector& weight = p.at(name + ".weight");
  const Vector& bias = optional_parameter(p, name + ".bias");
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

/// Layer normalisation (arXiv:1607.06450), or root mean square normalisation (arXiv:1910.07467), which takes no mean
/// away and has no bias.
inline Rows reference_norm(const model::ModelConfig& config, const Rows& x, const Parameters& p,
                           const std::string& name) {
  const Vector& weight = p.at(name + ".weight");
  const Vector& bias = optional_parameter(p, name + ".bias");
  const auto C = static_cast<double>(x.width);
  Rows y(x.rows(), x.width);
  for (int64_t i = 0; i < x.rows(); ++i) {
    double mean = 0;
    if (config.norm == model::NormKind::layer_norm) {
      for (int64_t c = 0; c < x.width; ++c) mean += x.at(i, c) / C;
    }
    double mean_square = 0;
    for (int64_t c = 0; c < x.width; ++c) mean_square += std::pow(x.at(i, c) - mean, 2) / C;
    for (int64_t c = 0; c < x.width; ++c) {
      y.at(i, c) = (x.at(i, c) - mean) / std::sqrt(mean_square + config.norm_epsilon) * weight[static_cast<size_t>(c)];
      if (!bias.empty()) y.at(i, c) += bias[static_cast<size_t>(c)];
    }
  }
  return y;
}

/// gelu in its tanh form (arXiv:1606.08415).
inline double reference_gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

/// y = down(gelu(up(x))), or y = down(silu(gate(x)) * up(x)) (arXiv:2002.05202).
inline Rows reference_feed_forward(const model::ModelConfig& config, const Rows& x, const Parameters& p,
                                   const std::string& name) {
  Rows hidden = reference_linear(x, p, name + ".up_proj");
  if (config.activation == model::ActivationKind::gelu) {
    for (double& value : hidden.values) value = reference_gelu(value);
  } else {
    const Rows gate = reference_linear(x, p, name + ".gate_proj");
    for (size_t i = 0; i < hidden.values.size(); ++i) {
      hidden.values[i] *= gate.values[i] / (1 + std::exp(-gate.values[i]));
    }
  }
  return reference_linear(hidden, p, name + ".down_proj");
}

/// Turns channels i and i + D/2 of every head of row r by the angle (r mod T) theta^(-2i/D) (arXiv:2104.09864).
inline void reference_rope(const model::ModelConfig& config, Rows& x, int64_t T) {
  const int64_t D = config.head_width;
  for (int64_t r = 0; r < x.rows(); ++r) {
    for (int64_t head = 0; head < x.width; head += D) {
      for (int64_t i = 0; i < D / 2; ++i) {
        const double angle = static_cast<double>(r % T) *
                             std::pow(config.rope_theta, -2 * static_cast<double>(i) / static_cast<double>(D));
        const double a = x.at(r, head + i);
        const double b = x.at(r, head + i + D / 2);
        x.at(r, head + i) = a * std::cos(angle) - b * std::sin(angle);
        x.at(r, head + i + D / 2) = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
}

/// Causal attention of sequences of T rows: q (N, H D), k and v (N, K D); query head h reads key/value head h / (H/K).
inline Rows reference_heads(const model::ModelConfig& config, const Rows& q, const Rows& k, const Rows& v, int64_t T) {
  const int64_t D = config.head_width;
  Rows y(q.rows(), q.width);
  for (int64_t i = 0; i < q.rows(); ++i) {
    const int64_t first = i / T * T;
    for (int64_t h = 0; h < config.heads; ++h) {
      const int64_t shared = h / (config.heads / config.kv_heads);
      Vector weights;
      double sum = 0;
      for (int64_t j = first; j <= i; ++j) {
        double score = 0;
        for (int64_t d = 0; d < D; ++d) score += q.at(i, h * D + d) * k.at(j, shared * D + d);
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(D))));
        sum += weights.back();
      }
      for (int64_t j = first; j <= i; ++j) {
        const double weight = weights[static_cast<size_t>(j - first)] / sum;
        for (int64_t d = 0; d < D; ++d) y.at(i, h * D + d) += weight * v.at(j, shared * D + d);
      }
    }
  }
  return y;
}

/// y = o(attention(q(x), k(x), v(x))), q and k turned by rope where positions are not learned.
inline Rows reference_attention(const model::ModelConfig& config, const Rows& x, const Parameters& p,
                                const std::string& name, int64_t T) {
  Rows q = reference_linear(x, p, name + ".q_proj");
  Rows k = reference_linear(x, p, name + ".k_proj");
  const Rows v = reference_linear(x, p, name + ".v_proj");
  if (config.position == model::PositionKind::rope) {
    reference_rope(config, q, T);
    reference_rope(config, k, T);
  }
  return reference_linear(reference_heads(config, q, k, v, T), p, name + ".o_proj");
}

/// Token embeddings, with those of positions where they are learned.
inline Rows reference_embedding(const model::ModelConfig& config, const Parameters& p,
                                const std::vector<int32_t>& tokens, int64_t T) {
  const int64_t C = config.width;
  const Vector& table = p.at("embed_tokens.weight");
  Rows x(static_cast<int64_t>(tokens.size()), C);
  for (int64_t i = 0; i < x.rows(); ++i) {
    for (int64_t c = 0; c < C; ++c) {
      x.at(i, c) = table[static_cast<size_t>(tokens[static_cast<size_t>(i)] * C + c)];
      if (config.position == model::PositionKind::learned) {
        x.at(i, c) += p.at("embed_positions.weight")[static_cast<size_t>(i % T * C + c)];
      }
    }
  }
  return x;
}

/// Logits (N, V) of the final norm's output: with the token embedding where that is tied.
inline Rows reference_logits_of(const model::ModelConfig& config, const Rows& y, const Parameters& p) {
  return reference_linear(y, p, config.tied_embeddings ? "embed_tokens" : "lm_head");
}

/// Sum over target tokens of -log p(target); negative targets are none.
inline double reference_cross_entropy(const Rows& logits, const std::vector<int32_t>& targets) {
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
