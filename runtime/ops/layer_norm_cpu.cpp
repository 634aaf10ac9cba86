#include "runtime/ops/layer_norm_cpu.h"

#include <algorithm>
#include <cmath>

#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

struct RowStatistics {
  float mean;
  float rstd;
};

/// Two passes over the row: the variance of (x - mean) does not cancel when the mean is large. The sums run in vector
/// lanes, so their rounding errors grow with C / lanes.
TRIREME_SIMD RowStatistics statistics(const float* x, int64_t C, float epsilon) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < C; ++c) sum += x[c];
  const float mean = sum / static_cast<float>(C);
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<float>(C) + epsilon)};
}

TRIREME_SIMD void add_row(const float* a, const float* b, float* sum, int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) sum[c] = a[c] + b[c];
}

TRIREME_SIMD void normalise_row(const float* x, RowStatistics row, const float* weight, const float* bias, float* y,
                                int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) y[c] = (x[c] - row.mean) * row.rstd * weight[c] + bias[c];
}

/// With g = dy * weight and n the normalised row: dx = rstd * (g - mean(g) - n * mean(g n)) (+ dresidual).
TRIREME_SIMD void backward_row(const float* dy, const float* x, const float* weight, RowStatistics row,
                               const float* dresidual, float* dx, int64_t C) {
  float sum_g = 0;
  float sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
  for (int64_t c = 0; c < C; ++c) {
    const float g = dy[c] * weight[c];
    sum_g += g;
    sum_gn += g * ((x[c] - row.mean) * row.rstd);
  }
  const float mean_g = sum_g / static_cast<float>(C);
  const float mean_gn = sum_gn / static_cast<float>(C);
  if (dresidual == nullptr) {
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) {
      dx[c] = row.rstd * (dy[c] * weight[c] - mean_g - (x[c] - row.mean) * row.rstd * mean_gn);
    }
  } else {
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) {
      dx[c] = dresidual[c] + row.rstd * (dy[c] * weight[c] - mean_g - (x[c] - row.mean) * row.rstd * mean_gn);
    }
  }
}

constexpr int64_t kStrip = 128;    // columns summed by one thread at a time: its sums stay in L1
constexpr int64_t kRowBlock = 64;  // rows are summed by blocks, so that rounding errors do not grow with N

struct ParameterGradients {
  const float* dy;
  const float* x;
  const float* mean;
  const float* rstd;
  int64_t N;
  int64_t C;
  float* dweight;
  float* dbias;
};

/// dweight and dbias of the columns [begin, begin + columns).
TRIREME_SIMD void accumulate_strip(const ParameterGradients& args, int64_t begin, int64_t columns) {
  float weight_total[kStrip] = {};
  float bias_total[kStrip] = {};
  for (int64_t block = 0; block < args.N; block += kRowBlock) {
    float weight_sum[kStrip] = {};
    float bias_sum[kStrip] = {};
    const int64_t end = std::min(args.N, block + kRowBlock);
    for (int64_t i = block; i < end; ++i) {
      const float* dy = args.dy + i * args.C + begin;
      const float* x = args.x + i * args.C + begin;
      const float mean = args.mean[i];
      const float rstd = args.rstd[i];
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) {
        weight_sum[c] += dy[c] * ((x[c] - mean) * rstd);
        bias_sum[c] += dy[c];
      }
    }
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      weight_total[c] += weight_sum[c];
      bias_total[c] += bias_sum[c];
    }
  }
#pragma omp simd
  for (int64_t c = 0; c < columns; ++c) {
    args.dweight[begin + c] += weight_total[c];
    args.dbias[begin + c] += bias_total[c];
  }
}

}  // namespace

void layer_norm_forward(const LayerNormForward& args) {
  const int64_t N = args.residual.shape[0];
  const int64_t C = args.residual.shape[1];
  const float* weight = args.weight.as<float>();
  const float* bias = args.bias.as<float>();
  float* mean = args.mean.as<float>();
  float* rstd = args.rstd.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    const float* x = args.residual.as<float>() + i * C;
    if (!args.branch.absent()) {
      float* sum = args.sum.as<float>() + i * C;
      add_row(x, args.branch.as<float>() + i * C, sum, C);
      x = sum;
    }
    const RowStatistics row = statistics(x, C, args.epsilon);
    normalise_row(x, row, weight, bias, args.y.as<float>() + i * C, C);
    mean[i] = row.mean;
    rstd[i] = row.rstd;
  }
}

void layer_norm_backward(const LayerNormBackward& args) {
  const int64_t N = args.dy.shape[0];
  const int64_t C = args.dy.shape[1];
  const float* dy = args.dy.as<float>();
  const float* x = args.sum.as<float>();
  const float* mean = args.mean.as<float>();
  const float* rstd = args.rstd.as<float>();
  // Over columns: each element of dweight and dbias has one owner, whatever the thread count.
  const ParameterGradients parameters{.dy = dy,
                                      .x = x,
                                      .mean = mean,
                                      .rstd = rstd,
                                      .N = N,
                                      .C = C,
                                      .dweight = args.dweight.as<float>(),
                                      .dbias = args.dbias.as<float>()};
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < C; begin += kStrip) {
    accumulate_strip(parameters, begin, std::min(kStrip, C - begin));
  }
  const float* weight = args.weight.as<float>();
  const float* dresidual = args.dresidual.absent() ? nullptr : args.dresidual.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    backward_row(dy + i * C, x + i * C, weight, {mean[i], rstd[i]}, dresidual == nullptr ? nullptr : dresidual + i * C,
                 args.dx.as<float>() + i * C, C);
  }
}

}  // namespace trireme::runtime::cpu
