#include "runtime/ops/layer_norm_cpu.h"

#include <cmath>

#include "runtime/ops/check.h"
#include "runtime/ops/norm_rows_cpu.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

struct RowStatistics {
  float mean;
  float rstd;
};

/// Two passes over the row: the variance of (x - mean) does not cancel when the mean is large. The sums run in vector
/// lanes, so their rounding errors grow with C / lanes.
template <typename T>
TRIREME_SIMD RowStatistics statistics(const T* x, int64_t C, float epsilon) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < C; ++c) sum += x[c];
  const float mean = sum / static_cast<float>(C);
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<float>(C) + epsilon)};
}

template <typename T>
TRIREME_SIMD void normalise_row(const T* x, RowStatistics row, const T* weight, const T* bias, T* y, int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) y[c] = (x[c] - row.mean) * row.rstd * weight[c] + bias[c];
}

template <typename T>
struct BackwardRow {
  const T* dy;
  const T* x;
  const T* weight;
  RowStatistics statistics;
  const T* dresidual;  // null: there is none
  T* dx;
};

/// With g = dy * weight and n the normalised row: dx = rstd * (g - mean(g) - n * mean(g n)) (+ dresidual).
template <typename T>
TRIREME_SIMD void backward_row(const BackwardRow<T>& row, int64_t C) {
  const auto [dy, x, weight, statistics, dresidual, dx] = row;
  const auto [mean, rstd] = statistics;
  float sum_g = 0;
  float sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
  for (int64_t c = 0; c < C; ++c) {
    const float g = dy[c] * weight[c];
    sum_g += g;
    sum_gn += g * ((x[c] - mean) * rstd);
  }
  const float mean_g = sum_g / static_cast<float>(C);
  const float mean_gn = sum_gn / static_cast<float>(C);
  if (dresidual == nullptr) {
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) dx[c] = rstd * (dy[c] * weight[c] - mean_g - (x[c] - mean) * rstd * mean_gn);
  } else {
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) {
      dx[c] = dresidual[c] + rstd * (dy[c] * weight[c] - mean_g - (x[c] - mean) * rstd * mean_gn);
    }
  }
}

template <typename T>
void forward(const LayerNormForward& args) {
  const int64_t N = args.residual.shape[0];
  const int64_t C = args.residual.shape[1];
  const T* weight = args.weight.as<T>();
  const T* bias = args.bias.as<T>();
  float* mean = args.mean.as<float>();
  float* rstd = args.rstd.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    const T* x = normalised_row<T>(args.residual, args.branch, args.sum, i);
    const RowStatistics row = statistics(x, C, args.epsilon);
    normalise_row(x, row, weight, bias, args.y.as<T>() + i * C, C);
    mean[i] = row.mean;
    rstd[i] = row.rstd;
  }
}

template <typename T>
void backward(const LayerNormBackward& args) {
  const int64_t N = args.dy.shape[0];
  const int64_t C = args.dy.shape[1];
  accumulate_norm_parameters({.dy = args.dy,
                              .x = args.sum,
                              .mean = args.mean,
                              .rstd = args.rstd,
                              .dweight = args.dweight,
                              .dbias = args.dbias});
  const T* dresidual = args.dresidual.absent() ? nullptr : args.dresidual.as<T>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    backward_row<T>({.dy = args.dy.as<T>() + i * C,
                     .x = args.sum.as<T>() + i * C,
                     .weight = args.weight.as<T>(),
                     .statistics = {args.mean.as<float>()[i], args.rstd.as<float>()[i]},
                     .dresidual = dresidual == nullptr ? nullptr : dresidual + i * C,
                     .dx = args.dx.as<T>() + i * C},
                    C);
  }
}

}  // namespace

void layer_norm_forward(const LayerNormForward& args) {
  with_storage(args.residual.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void layer_norm_backward(const LayerNormBackward& args) {
  with_storage(args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace trireme::runtime::cpu
