// Cross entropy in float64 from whole logits; a negative target is no target.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::tests {

struct NaiveLoss {
  double sum = 0;
  double count = 0;
  std::vector<double> dlogits;
};

/// logits (N, V).
inline NaiveLoss naive_loss(std::span<const double> logits, std::span<const int32_t> targets) {
  const size_t N = targets.size();
  const size_t V = logits.size() / N;
  NaiveLoss result{.dlogits = std::vector<double>(logits.size())};
  for (size_t i = 0; i < N; ++i) {
    if (targets[i] < 0) continue;
    const std::span<const double> row = logits.subspan(i * V, V);
    const double max = *std::ranges::max_element(row);
    double sum = 0;
    for (const double logit : row) sum += std::exp(logit - max);
    const auto target = static_cast<size_t>(targets[i]);
    result.sum += std::log(sum) - (row[target] - max);
    result.count += 1;
    for (size_t v = 0; v < V; ++v) {
      result.dlogits[i * V + v] = std::exp(row[v] - max) / sum - (v == target ? 1 : 0);
    }
  }
  return result;
}

}  // namespace trireme::tests
