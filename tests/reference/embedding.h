// Token and position embedding in float64. An empty position table is an absent one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::tests {

/// tables (rows, C) -> y (N, C).
inline std::vector<double> naive_embedding(std::span<const int32_t> tokens, std::span<const int32_t> positions,
                                           std::span<const double> token_table, std::span<const double> position_table,
                                           size_t C) {
  std::vector<double> y(tokens.size() * C);
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (size_t c = 0; c < C; ++c) {
      y[i * C + c] = token_table[static_cast<size_t>(tokens[i]) * C + c];
      if (!position_table.empty()) y[i * C + c] += position_table[static_cast<size_t>(positions[i]) * C + c];
    }
  }
  return y;
}

/// dtable[ids[i]] += dy[i].
inline void naive_scatter_add(std::span<const int32_t> ids, std::span<const double> dy, std::span<double> dtable) {
  const size_t C = dy.size() / ids.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    for (size_t c = 0; c < C; ++c) dtable[static_cast<size_t>(ids[i]) * C + c] += dy[i * C + c];
  }
}

}  // namespace trireme::tests
