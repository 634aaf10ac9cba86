#include "runtime/ops/linear_epilogue_cpu.h"

#include "runtime/ops/check.h"
#include "runtime/ops/gelu_function.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

template <typename T>
TRIREME_SIMD void store(const float* product, T* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = product[i];
}

template <typename T>
TRIREME_SIMD void store_bias(const float* product, const T* bias, T* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = product[i] + bias[i];
}

/// gelu of what was stored, so that backward and recomputation, which read that, see the same numbers.
template <typename T>
TRIREME_SIMD void store_bias_gelu(const float* product, const T* bias, T* pre_activation, T* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    pre_activation[i] = product[i] + bias[i];
    y[i] = gelu(pre_activation[i]);
  }
}

}  // namespace

void store_outputs(const LinearForward& args, int64_t n, Range outputs, const float* product) {
  const int64_t first = n * args.y.shape[1] + outputs.begin;
  with_storage(args.y.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* y = args.y.as<T>() + first;
    switch (args.epilogue) {
      case Epilogue::none:
        store(product, y, outputs.count);
        break;
      case Epilogue::bias:
        store_bias(product, args.bias.as<T>() + outputs.begin, y, outputs.count);
        break;
      case Epilogue::bias_gelu:
        store_bias_gelu(product, args.bias.as<T>() + outputs.begin, args.pre_activation.as<T>() + first, y,
                        outputs.count);
        break;
    }
  });
}

}  // namespace trireme::runtime::cpu
