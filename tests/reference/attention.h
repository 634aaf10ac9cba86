// Causal attention with grouped key/value heads in float64, one query at a time, and its gradients by the chain rule.
// With first_keys (B*T) a query sees the keys from there to its own position.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/ops/attention.h"

namespace trireme::tests {

struct AttentionReference {
  std::vector<double> y;            ///< (B*T, H D)
  std::vector<double> log_sum_exp;  ///< (B, H, T)
  std::vector<double> dqkv;         ///< (B*T, (H + 2K) D) for the given dy
};

inline AttentionReference attention_reference(const runtime::AttentionShape& shape, std::span<const double> qkv,
                                              std::span<const double> dy, std::span<const int32_t> first_keys = {}) {
  const auto [B, T, H, K, D] = shape;
  const int64_t row = (H + 2 * K) * D;
  AttentionReference result;
  result.y.assign(static_cast<size_t>(B * T * H * D), 0.0);
  result.log_sum_exp.assign(static_cast<size_t>(B * H * T), 0.0);
  result.dqkv.assign(static_cast<size_t>(B * T * row), 0.0);
  const double scale = 1 / std::sqrt(static_cast<double>(D));
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      for (int64_t t = 0; t < T; ++t) {
        const int64_t q = (b * T + t) * row + h * D;
        const int64_t k = b * T * row + (H + h / (H / K)) * D;
        const int64_t v = k + K * D;
        const int64_t out = (b * T + t) * H * D + h * D;
        const int64_t first = first_keys.empty() ? 0 : first_keys[static_cast<size_t>(b * T + t)];
        std::vector<double> p(static_cast<size_t>(t + 1), 0.0);
        std::vector<double> dp(static_cast<size_t>(t + 1), 0.0);
        for (int64_t j = first; j <= t; ++j) {
          for (int64_t d = 0; d < D; ++d) {
            p[j] += scale * qkv[q + d] * qkv[k + j * row + d];
            dp[j] += dy[out + d] * qkv[v + j * row + d];
          }
        }
        const double largest = *std::max_element(p.begin() + first, p.end());
        double sum = 0;
        for (int64_t j = first; j <= t; ++j) sum += p[j] = std::exp(p[j] - largest);
        double delta = 0;
        for (int64_t j = first; j <= t; ++j) delta += (p[j] /= sum) * dp[j];
        result.log_sum_exp[(b * H + h) * T + t] = largest + std::log(sum);
        for (int64_t j = first; j <= t; ++j) {
          const double ds = p[j] * (dp[j] - delta) * scale;
          for (int64_t d = 0; d < D; ++d) {
            result.y[out + d] += p[j] * qkv[v + j * row + d];
            result.dqkv[q + d] += ds * qkv[k + j * row + d];
            result.dqkv[k + j * row + d] += ds * qkv[q + d];
            result.dqkv[v + j * row + d] += p[j] * dy[out + d];
          }
        }
      }
    }
  }
  return result;
}

}  // namespace trireme::tests
