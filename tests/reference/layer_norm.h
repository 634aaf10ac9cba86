// Layer normalisation in float64, written as in the paper (arXiv:1607.06450), with the gradient derived by the chain
// rule through mean and variance rather than by the op's closed form.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::tests {

struct NaiveLayerNorm {
  std::vector<double> y;
  std::vector<double> mean;
  std::vector<double> rstd;
};

/// x (N, C), weight, bias (C).
inline NaiveLayerNorm naive_layer_norm(std::span<const double> x, std::span<const double> weight,
                                       std::span<const double> bias, double epsilon) {
  const size_t C = weight.size();
  const size_t N = x.size() / C;
  NaiveLayerNorm result{std::vector<double>(N * C), std::vector<double>(N), std::vector<double>(N)};
  for (size_t i = 0; i < N; ++i) {
    double mean = 0;
    for (size_t c = 0; c < C; ++c) mean += x[i * C + c] / static_cast<double>(C);
    double variance = 0;
    for (size_t c = 0; c < C; ++c) variance += std::pow(x[i * C + c] - mean, 2) / static_cast<double>(C);
    const double rstd = 1 / std::sqrt(variance + epsilon);
    for (size_t c = 0; c < C; ++c) result.y[i * C + c] = (x[i * C + c] - mean) * rstd * weight[c] + bias[c];
    result.mean[i] = mean;
    result.rstd[i] = rstd;
  }
  return result;
}

struct NaiveLayerNormGradient {
  std::vector<double> dx;
  std::vector<double> dweight;
  std::vector<double> dbias;
};

inline NaiveLayerNormGradient naive_layer_norm_gradient(std::span<const double> x, std::span<const double> weight,
                                                        std::span<const double> dy, double epsilon) {
  const size_t C = weight.size();
  const size_t N = x.size() / C;
  const double width = static_cast<double>(C);
  NaiveLayerNormGradient result{std::vector<double>(N * C), std::vector<double>(C), std::vector<double>(C)};
  for (size_t i = 0; i < N; ++i) {
    double mean = 0;
    for (size_t c = 0; c < C; ++c) mean += x[i * C + c] / width;
    double variance = 0;
    for (size_t c = 0; c < C; ++c) variance += std::pow(x[i * C + c] - mean, 2) / width;
    const double deviation = std::sqrt(variance + epsilon);
    double dvariance = 0;
    double dmean = 0;
    for (size_t c = 0; c < C; ++c) {
      const double centred = x[i * C + c] - mean;
      const double dnormal = dy[i * C + c] * weight[c];
      dvariance += dnormal * centred * -0.5 / (deviation * deviation * deviation);
      dmean += -dnormal / deviation;  // the variance's own derivative by the mean is 0
      result.dweight[c] += dy[i * C + c] * centred / deviation;
      result.dbias[c] += dy[i * C + c];
    }
    for (size_t c = 0; c < C; ++c) {
      result.dx[i * C + c] =
          dy[i * C + c] * weight[c] / deviation + dvariance * 2 * (x[i * C + c] - mean) / width + dmean / width;
    }
  }
  return result;
}

}  // namespace trireme::tests
