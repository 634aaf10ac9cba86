#include "runtime/ops/rms_norm_cpu.h"

#include <cmath>

#include "runtime/ops/check.h"
#include "runtime/ops/norm_rows_cpu.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

/// The sum runs in vector lanes, so its rounding error grows with C / lanes.
template <typename T>
TRIREME_SIMD float reciprocal_rms(const T* x, int64_t C, float epsilon) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < C; ++c) squares += x[c] * x[c];
  return 1 / std::sqrt(squares / static_cast<float>(C) + epsilon);
}

template <typename T>
TRIREME_SIMD void normalise_row(const T* x, float rstd, const T* weight, T* y, int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) y[c] = x[c] * rstd * weight[c];
}

template <typename T>
struct BackwardRow {
  const T* dy;
  const T* x;
  const T* weight;
  float rstd;
  const T* dresidual;  // null: there is none
  T* dx;
};

/// With g = dy * weight and n the normalised row: dx = rstd * (g - n * mean(g n)) (+ dresidual).
template <typename T>
TRIREME_SIMD void backward_row(const BackwardRow<T>& row, int64_t C) {
  const auto [dy, x, weight, rstd, dresidual, dx] = row;
  float sum_gn = 0;
#pragma omp simd reduction(+ : sum_gn)
  for (int64_t c = 0; c < C; ++c) sum_gn += dy[c] * weight[c] * (x[c] * rstd);
  const float mean_gn = sum_gn / static_cast<float>(C);
  if (dresidual == nullptr) {
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) dx[c] = rstd * (dy[c] * weight[c] - x[c] * rstd * mean_gn);
  } else {
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) dx[c] = dresidual[c] + rstd * (dy[c] * weight[c] - x[c] * rstd * mean_gn);
  }
}

template <typename T>
void forward(const RmsNormForward& args) {
  const int64_t N = args.residual.shape[0];
  const int64_t C = args.residual.shape[1];
  const T* weight = args.weight.as<T>();
  float* rstd = args.rstd.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    const T* x = normalised_row<T>(args.residual, args.branch, args.sum, i);
    rstd[i] = reciprocal_rms(x, C, args.epsilon);
    normalise_row(x, rstd[i], weight, args.y.as<T>() + i * C, C);
  }
}

template <typename T>
void backward(const RmsNormBackward& args) {
  const int64_t N = args.dy.shape[0];
  const int64_t C = args.dy.shape[1];
  accumulate_norm_parameters({.dy = args.dy, .x = args.sum, .rstd = args.rstd, .dweight = args.dweight});
  const T* dresidual = args.dresidual.absent() ? nullptr : args.dresidual.as<T>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < N; ++i) {
    backward_row<T>({.dy = args.dy.as<T>() + i * C,
                     .x = args.sum.as<T>() + i * C,
                     .weight = args.weight.as<T>(),
                     .rstd = args.rstd.as<float>()[i],
                     .dresidual = dresidual == nullptr ? nullptr : dresidual + i * C,
                     .dx = args.dx.as<T>() + i * C},
                    C);
  }
}

}  // namespace

void rms_norm_forward(const RmsNormForward& args) {
  with_storage(args.residual.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void rms_norm_backward(const RmsNormBackward& args) {
  with_storage(args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace trireme::runtime::cpu
