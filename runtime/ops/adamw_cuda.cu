#include "runtime/ops/adamw_cuda.h"

#include <algorithm>

#include "runtime/cuda/map.cuh"
#include "runtime/ops/update_scale_function.h"

namespace trireme::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kPack = 4;  // elements of a 16-byte access

struct Arguments {
  float* parameter;
  float* gradient;
  float* m;
  float* v;
  bf16* compute;          ///< the twin, or null
  const float* schedule;  ///< learning rate, corrections of m and v, scale
  int64_t n;
  int64_t packs;
  float beta1;
  float beta2;
  float epsilon;
  float weight_decay;
  int undecayed_ranges;
  ElementRange undecayed[AdamWConstants::kMostUndecayed];
};

struct Schedule {
  float learning_rate;
  float m_correction;
  float v_correction;
  float scale;
};

struct Element {
  float parameter;
  float m;
  float v;
};

/// Fused where written so, that a pack and a single element get the same bits. Division and root are correctly rounded:
/// they cost nothing beside 32 bytes an element.
__device__ __forceinline__ Element updated(const Arguments& a, const Schedule& s, const Element& old, float gradient,
                                           float weight_decay) {
  const float g = s.scale * gradient;
  const float m = __fmaf_rn(a.beta1, old.m, (1.0f - a.beta1) * g);
  const float v = __fmaf_rn(a.beta2, old.v, (1.0f - a.beta2) * (g * g));
  const float step = m * s.m_correction / (sqrtf(v * s.v_correction) + a.epsilon);
  const float with_decay = __fmaf_rn(weight_decay, old.parameter, step);
  return {__fmaf_rn(-s.learning_rate, with_decay, old.parameter), m, v};
}

/// The weight decay of elements [begin, begin + kCount).
template <int kCount>
__device__ __forceinline__ void weight_decay_of(const Arguments& a, int64_t begin, float (&decay)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) decay[i] = a.weight_decay;
  for (int r = 0; r < a.undecayed_ranges; ++r) {
    if (begin >= a.undecayed[r].end || begin + kCount <= a.undecayed[r].begin) continue;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (begin + i >= a.undecayed[r].begin && begin + i < a.undecayed[r].end) decay[i] = 0.0f;
    }
  }
}

/// kCount elements from `begin`: a pack where all tensors are aligned, or one.
template <int kCount>
__device__ __forceinline__ void update(const Arguments& a, const Schedule& s, int64_t begin) {
  float parameter[kCount];
  float gradient[kCount];
  float m[kCount];
  float v[kCount];
  float decay[kCount];
  if constexpr (kCount == kPack) {
    load_pack(a.gradient + begin, gradient);
    load_pack(a.parameter + begin, parameter);
    load_pack(a.m + begin, m);
    load_pack(a.v + begin, v);
  } else {
    gradient[0] = a.gradient[begin];
    parameter[0] = a.parameter[begin];
    m[0] = a.m[begin];
    v[0] = a.v[begin];
  }
  weight_decay_of(a, begin, decay);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const Element element = updated(a, s, {parameter[i], m[i], v[i]}, gradient[i], decay[i]);
    parameter[i] = element.parameter;
    m[i] = element.m;
    v[i] = element.v;
    gradient[i] = 0.0f;
  }
  if constexpr (kCount == kPack) {
    store_vector_streaming(a.parameter + begin, {parameter[0], parameter[1], parameter[2], parameter[3]});
    store_vector_streaming(a.m + begin, {m[0], m[1], m[2], m[3]});
    store_vector_streaming(a.v + begin, {v[0], v[1], v[2], v[3]});
    store_vector_streaming(a.gradient + begin, {gradient[0], gradient[1], gradient[2], gradient[3]});
    if (a.compute != nullptr) store_pack(a.compute + begin, parameter);
  } else {
    a.parameter[begin] = parameter[0];
    a.m[begin] = m[0];
    a.v[begin] = v[0];
    a.gradient[begin] = 0.0f;
    if (a.compute != nullptr) store(a.compute + begin, parameter[0]);
  }
}

/// A pack a thread: 64 bytes of loads in flight in each. What no pack covers is updated element by element.
__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ Arguments a) {
  const Schedule schedule = {a.schedule[0], a.schedule[1], a.schedule[2], a.schedule[3]};
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads;
  if (schedule.scale == 0) {
    for (int64_t i = thread; i < a.n; i += threads) a.gradient[i] = 0.0f;
    return;
  }
  if (thread < a.packs) update<kPack>(a, schedule, thread * kPack);
  for (int64_t i = a.packs * kPack + thread; i < a.n; i += threads) update<1>(a, schedule, i);
}

__global__ void update_scale_kernel(double clip_grad_norm, const double* totals, const float* limits, float* scale) {
  *scale = scale_of_update(clip_grad_norm, totals, limits);
}

}  // namespace

void update_scale(CudaQueue& queue, double clip_grad_norm, ConstView totals, ConstView limits, View scale) {
  launch(queue, {.blocks = 1, .threads = 1}, update_scale_kernel, clip_grad_norm, totals.as<double>(),
         limits.as<float>(), scale.as<float>());
}

void adamw_update(CudaQueue& queue, const AdamWConstants& constants, const AdamWViews& views) {
  const int64_t n = views.parameter.shape[0];
  bf16* compute = views.compute.absent() ? nullptr : views.compute.as<bf16>();
  const bool aligned = fits_vectors<float>(0, views.parameter.data, views.gradient.data, views.m.data, views.v.data) &&
                       is_pack_aligned<kPack>(compute);
  Arguments arguments = {.parameter = views.parameter.as<float>(),
                         .gradient = views.gradient.as<float>(),
                         .m = views.m.as<float>(),
                         .v = views.v.as<float>(),
                         .compute = compute,
                         .schedule = views.schedule.as<float>(),
                         .n = n,
                         .packs = aligned ? n / kPack : 0,
                         .beta1 = constants.beta1,
                         .beta2 = constants.beta2,
                         .epsilon = constants.epsilon,
                         .weight_decay = constants.weight_decay,
                         .undecayed_ranges = static_cast<int>(constants.undecayed.size()),
                         .undecayed = {}};
  std::ranges::copy(constants.undecayed, arguments.undecayed);
  launch(queue, {.blocks = blocks_for(aligned ? arguments.packs : n, kThreads), .threads = kThreads}, adamw_kernel,
         arguments);
}

}  // namespace trireme::runtime::cuda
