#include "runtime/ops/adamw_cpu.h"

#include <algorithm>
#include <cmath>

#include "runtime/ops/update_scale_function.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

/// What is equal for all elements.
struct Factors {
  float gradient_scale;
  float beta1;
  float beta2;
  float learning_rate;
  float weight_decay;
  float epsilon;
  float m_correction;  ///< 1 / (1 - beta1^t)
  float v_correction;  ///< 1 / (1 - beta2^t)
};

struct Range {
  float* parameter;
  float* gradient;
  float* m;
  float* v;
  bf16* compute;  ///< the twin, or null
  int64_t n;
};

/// One pass: every element of the four tensors is read once and written once, and of a twin written.
template <bool with_twin>
TRIREME_SIMD void update(const Factors& f, const Range& range) {
  float* parameter = range.parameter;
  float* gradient = range.gradient;
  float* m = range.m;
  float* v = range.v;
  bf16* compute = range.compute;
  const Factors k = f;
#pragma omp simd
  for (int64_t i = 0; i < range.n; ++i) {
    const float g = k.gradient_scale * gradient[i];
    const float m_new = k.beta1 * m[i] + (1 - k.beta1) * g;
    const float v_new = k.beta2 * v[i] + (1 - k.beta2) * (g * g);
    const float step = m_new * k.m_correction / (std::sqrt(v_new * k.v_correction) + k.epsilon);
    const float parameter_new = parameter[i] - k.learning_rate * (step + k.weight_decay * parameter[i]);
    parameter[i] = parameter_new;
    if constexpr (with_twin) compute[i] = parameter_new;
    m[i] = m_new;
    v[i] = v_new;
    gradient[i] = 0;
  }
}

/// [begin, end) in fixed blocks: a page of each of the four tensors at a time, independent of the thread count.
void update_part(const Factors& factors, const AdamWViews& views, int64_t begin_of_part, int64_t end) {
  constexpr int64_t kBlock = 4096;
  bf16* compute = views.compute.absent() ? nullptr : views.compute.as<bf16>();
  const auto update_range = compute != nullptr ? update<true> : update<false>;
#pragma omp parallel for schedule(static)
  for (int64_t begin = begin_of_part; begin < end; begin += kBlock) {
    update_range(factors, {.parameter = views.parameter.as<float>() + begin,
                           .gradient = views.gradient.as<float>() + begin,
                           .m = views.m.as<float>() + begin,
                           .v = views.v.as<float>() + begin,
                           .compute = compute != nullptr ? compute + begin : nullptr,
                           .n = std::min(kBlock, end - begin)});
  }
}

}  // namespace

void update_scale(double clip_grad_norm, ConstView totals, ConstView limits, View scale) {
  *scale.as<float>() = scale_of_update(clip_grad_norm, totals.as<double>(), limits.as<float>());
}

void adamw_update(const AdamWConstants& constants, const AdamWViews& views) {
  const float* schedule = views.schedule.as<float>();
  const int64_t n = views.parameter.shape[0];
  if (schedule[3] == 0) {
    std::fill_n(views.gradient.as<float>(), n, 0.0f);
    return;
  }
  const Factors undecayed{.gradient_scale = schedule[3],
                          .beta1 = constants.beta1,
                          .beta2 = constants.beta2,
                          .learning_rate = schedule[0],
                          .weight_decay = 0,
                          .epsilon = constants.epsilon,
                          .m_correction = schedule[1],
                          .v_correction = schedule[2]};
  Factors decayed = undecayed;
  decayed.weight_decay = constants.weight_decay;
  int64_t done = 0;
  for (const ElementRange& range : constants.undecayed) {
    update_part(decayed, views, done, range.begin);
    update_part(undecayed, views, range.begin, range.end);
    done = range.end;
  }
  update_part(decayed, views, done, n);
}

}  // namespace trireme::runtime::cpu
