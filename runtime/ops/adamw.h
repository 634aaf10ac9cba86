// AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) over the flat range of a unit. What changes from step to step
// lies in device memory, so that a step can be recorded once and repeated.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// Elements [begin, end) of a range.
struct ElementRange {
  int64_t begin = 0;
  int64_t end = 0;
};

/// What stays the same during a training.
struct AdamWConstants {
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-8f;
  float weight_decay = 0;
  /// Parts without weight decay, ascending and apart; at most kMostUndecayed.
  std::span<const ElementRange> undecayed{};

  static constexpr int64_t kMostUndecayed = 8;
};

/// The first three numbers of AdamWViews::schedule, for the update that is counted `update` from 1: learning rate,
/// 1 / (1 - beta1^t), 1 / (1 - beta2^t), the corrections in fp64, since 1 - beta^t cancels in the first steps.
std::array<float, 3> adamw_schedule(double learning_rate, double beta1, double beta2, int64_t update);

/// Whether a step's update is made, and if not, why.
enum class UpdateVerdict { made, not_finite, outlier_loss, outlier_grad_norm };
/// "nonfinite", "outlier_loss", "outlier_grad_norm"; "" where it is made.
std::string_view name(UpdateVerdict verdict);

/// A mean loss or a gradient norm above these is an outlier.
struct UpdateLimits {
  float loss = std::numeric_limits<float>::infinity();
  float grad_norm = std::numeric_limits<float>::infinity();
  bool operator==(const UpdateLimits&) const = default;
};

/// What update_scale decides, for the host that has read the same totals (at least 3).
UpdateVerdict judge_update(std::span<const double> totals, const UpdateLimits& limits);

/// scale (1) fp32 := what makes a sum of gradients the clipped gradient of the mean loss, or 0 where loss or gradient
/// is not finite, or above limits (2) fp32 as in UpdateLimits. totals (3) fp64: sum of losses, count of targets, sum of
/// squares of the summed gradient. With norm = sqrt(sum of squares) / count: min(1, clip_grad_norm / (norm + 1e-6)) /
/// count (PyTorch's clip_grad_norm_), or 1 / count where clip_grad_norm is 0. 0 flops, 36 bytes.
void update_scale(Stream& stream, double clip_grad_norm, ConstView totals, ConstView limits, View scale);

/// With [learning_rate, m_correction, v_correction, scale] = schedule: g = scale * gradient; m = beta1 m + (1-beta1) g;
/// v = beta2 v + (1-beta2) g^2; parameter -= learning_rate * (m m_correction / (sqrt(v v_correction) + epsilon) +
/// weight_decay * parameter), without the decay in constants.undecayed; gradient := 0 for the next step. A scale of 0
/// (no update, see update_scale) leaves all but the gradient as they are. All (n) fp32. One pass: 17 n flops, 32 n
/// bytes; with a compute twin it is overwritten with the rounded parameter, and 34 n bytes.
struct AdamWViews {
  View parameter;
  View gradient;
  View m;
  View v;
  View compute{};      ///< (n) bf16, what layers read when `parameter` is a master weight; or absent
  ConstView schedule;  ///< (4) fp32
};
void adamw_update(Stream& stream, const AdamWConstants& constants, const AdamWViews& views);

}  // namespace trireme::runtime
