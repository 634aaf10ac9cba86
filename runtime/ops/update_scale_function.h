// The factor of a step's gradients, for the CPU and for the one GPU thread that needs it: constexpr, which lets nvcc
// use it on the device.
#pragma once

#include <cmath>

namespace trireme::runtime {

/// See update_scale: totals are loss sum, target count, sum of squares. Finite is what is below infinity: NaN is not.
constexpr float scale_of_update(double clip_grad_norm, const double* totals) {
  const double infinity = __builtin_huge_val();
  const double loss = totals[0] / totals[1];
  const double norm = std::sqrt(totals[2]) / totals[1];
  const bool finite = std::fabs(loss) < infinity && norm < infinity;
  if (!finite) return 0;
  const double clipped = clip_grad_norm / (norm + 1e-6);
  return static_cast<float>((clip_grad_norm == 0 || clipped > 1 ? 1 : clipped) / totals[1]);
}

}  // namespace trireme::runtime
