// AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) over flat ranges.
#pragma once

#include <cstdint>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

struct AdamWStep {
  float learning_rate = 0;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-8f;
  float weight_decay = 0;
  float gradient_scale = 1;  ///< clip factor / global count of target tokens
  int64_t update = 1;        ///< counted from 1, for the bias corrections
};

/// g = gradient_scale * gradient; m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2;
/// parameter -= learning_rate * (mhat / (sqrt(vhat) + epsilon) + weight_decay * parameter); gradient := 0 for the next
/// step. All (n) fp32. One pass: 17 n flops, 32 n bytes; with a compute twin it is overwritten with the rounded
/// parameter, and 34 n bytes.
struct AdamWViews {
  View parameter;
  View gradient;
  View m;
  View v;
  View compute{};  ///< (n) bf16, what layers read when `parameter` is a master weight; or absent
};
void adamw_update(Stream& stream, const AdamWStep& step, const AdamWViews& views);

}  // namespace trireme::runtime
