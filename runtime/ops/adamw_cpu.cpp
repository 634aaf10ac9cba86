#include "runtime/ops/adamw_cpu.h"

#include <algorithm>
#include <cmath>

#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

/// What is equal for all elements. The bias corrections are taken in fp64: 1 - beta^t cancels in the first steps.
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

float correction(float beta, int64_t update_count) {
  return static_cast<float>(1 / (1 - std::pow(static_cast<double>(beta), static_cast<double>(update_count))));
}

}  // namespace

void adamw_update(const AdamWStep& step, const AdamWViews& views) {
  const Factors factors{.gradient_scale = step.gradient_scale,
                        .beta1 = step.beta1,
                        .beta2 = step.beta2,
                        .learning_rate = step.learning_rate,
                        .weight_decay = step.weight_decay,
                        .epsilon = step.epsilon,
                        .m_correction = correction(step.beta1, step.update),
                        .v_correction = correction(step.beta2, step.update)};
  // Fixed blocks: a page of each of the four tensors at a time, independent of the thread count.
  constexpr int64_t kBlock = 4096;
  const int64_t n = views.parameter.shape[0];
  bf16* compute = views.compute.absent() ? nullptr : views.compute.as<bf16>();
  const auto update_range = compute != nullptr ? update<true> : update<false>;
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    update_range(factors, {.parameter = views.parameter.as<float>() + begin,
                           .gradient = views.gradient.as<float>() + begin,
                           .m = views.m.as<float>() + begin,
                           .v = views.v.as<float>() + begin,
                           .compute = compute != nullptr ? compute + begin : nullptr,
                           .n = std::min(kBlock, n - begin)});
  }
}

}  // namespace trireme::runtime::cpu
