// Root mean square normalisation in float64, written as in the paper (arXiv:1910.07467), with the gradient derived by
// the chain rule through the mean square rather than by the op's closed form.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::tests {

struct NaiveRmsNorm {
  std::vector<double> y;
  std::vector<double> rstd;
};

/// x (N, C), weight (C).
inline NaiveRmsNorm naive_rms_norm(std::span<const double> x, std::span<const double> weight, double epsilon) {
  const size_t C = weight.size();
  const size_t N = x.size() / C;
  NaiveRmsNorm result{std::vector<double>(N * C), std::vector<double>(N)};
  for (size_t i = 0; i < N; ++i) {
    double mean_square = 0;
    for (size_t c = 0; c < C; ++c) mean_square += std::pow(x[i * C + c], 2) / static_cast<double>(C);
    const double rms = std::sqrt(mean_square + epsilon);
    for (size_t c = 0; c < C; ++c) result.y[i * C + c] = x[i * C + c] / rms * weight[c];
    result.rstd[i] = 1 / rms;
  }
  return result;
}

struct NaiveRmsNormGradient {
  std::vector<double> dx;
  std::vector<double> dweight;
};

inline NaiveRmsNormGradient naive_rms_norm_gradient(std::span<const double> x, std::span<const double> weight,
                                                    std::span<const double> dy, double epsilon) {
  const size_t C = weight.size();
  const size_t N = x.size() / C;
  const double width = static_cast<double>(C);
  NaiveRmsNormGradient result{std::vector<double>(N * C), std::vector<double>(C)};
  for (size_t i = 0; i < N; ++i) {
    double mean_square = 0;
    for (size_t c = 0; c < C; ++c) mean_square += std::pow(x[i * C + c], 2) / width;
    const double rms = std::sqrt(mean_square + epsilon);
    double dmean_square = 0;
    for (size_t c = 0; c < C; ++c) {
      dmean_square += dy[i * C + c] * weight[c] * x[i * C + c] * -0.5 / (rms * rms * rms);
      result.dweight[c] += dy[i * C + c] * x[i * C + c] / rms;
    }
    for (size_t c = 0; c < C; ++c) {
      result.dx[i * C + c] = dy[i * C + c] * weight[c] / rms + dmean_square * 2 * x[i * C + c] / width;
    }
  }
  return result;
}

}  // namespace trireme::tests
