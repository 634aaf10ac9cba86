// What a step's totals say about its update, for the CPU, for the one GPU thread that needs it, and for the host that
// reports it: all decide by the same bits. constexpr, which lets nvcc use it on the device.
#pragma once

#include <cmath>

#include "runtime/ops/adamw.h"

namespace trireme::runtime {

/// See update_scale: totals are loss sum, target count, sum of squares. Finite is what is below infinity: NaN is not.
constexpr UpdateVerdict verdict_of_update(const double* totals, float largest_loss, float largest_grad_norm) {
  const double infinity = __builtin_huge_val();
  const double loss = totals[0] / totals[1];
  const double norm = std::sqrt(totals[2]) / totals[1];
  const bool finite = std::fabs(loss) < infinity && norm < infinity;
  if (!finite) return UpdateVerdict::not_finite;
  if (loss > static_cast<double>(largest_loss)) return UpdateVerdict::outlier_loss;
  return norm > static_cast<double>(largest_grad_norm) ? UpdateVerdict::outlier_grad_norm : UpdateVerdict::made;
}

constexpr float scale_of_update(double clip_grad_norm, const double* totals, const float* limits) {
  if (verdict_of_update(totals, limits[0], limits[1]) != UpdateVerdict::made) return 0;
  const double norm = std::sqrt(totals[2]) / totals[1];
  const double clipped = clip_grad_norm / (norm + 1e-6);
  return static_cast<float>((clip_grad_norm == 0 || clipped > 1 ? 1 : clipped) / totals[1]);
}

}  // namespace trireme::runtime
