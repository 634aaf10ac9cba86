#include "runtime/ops/norm_rows_cpu.h"

#include <algorithm>

#include "runtime/ops/check.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

template <typename T>
TRIREME_SIMD void add_row(const T* a, const T* b, T* sum, int64_t C) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) sum[c] = a[c] + b[c];
}

constexpr int64_t kStrip = 128;    // columns summed by one thread at a time: its sums stay in L1
constexpr int64_t kRowBlock = 64;  // rows are summed by blocks, so that rounding errors do not grow with N

template <typename T>
struct Strips {
  const T* dy;
  const T* x;
  const float* mean;  // null: 0
  const float* rstd;
  int64_t N;
  int64_t C;
  float* dweight;
  float* dbias;  // null: there is none
};

/// dweight and dbias of the columns [begin, begin + columns).
template <typename T>
TRIREME_SIMD void accumulate_strip(const Strips<T>& args, int64_t begin, int64_t columns) {
  float weight_total[kStrip] = {};
  float bias_total[kStrip] = {};
  for (int64_t block = 0; block < args.N; block += kRowBlock) {
    float weight_sum[kStrip] = {};
    float bias_sum[kStrip] = {};
    const int64_t end = std::min(args.N, block + kRowBlock);
    for (int64_t i = block; i < end; ++i) {
      const T* dy = args.dy + i * args.C + begin;
      const T* x = args.x + i * args.C + begin;
      const float mean = args.mean == nullptr ? 0 : args.mean[i];
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
  for (int64_t c = 0; c < columns; ++c) args.dweight[begin + c] += weight_total[c];
  if (args.dbias == nullptr) return;
#pragma omp simd
  for (int64_t c = 0; c < columns; ++c) args.dbias[begin + c] += bias_total[c];
}

/// Over columns: each element of dweight and dbias has one owner, whatever the thread count.
template <typename T>
void accumulate_strips(const Strips<T>& args) {
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < args.C; begin += kStrip) {
    accumulate_strip(args, begin, std::min(kStrip, args.C - begin));
  }
}

}  // namespace

template <typename T>
const T* normalised_row(const ConstView& residual, const ConstView& branch, const View& sum, int64_t i) {
  const int64_t C = residual.shape[1];
  const T* x = residual.as<T>() + i * C;
  if (branch.absent()) return x;
  T* row = sum.as<T>() + i * C;
  add_row(x, branch.as<T>() + i * C, row, C);
  return row;
}
template const float* normalised_row<float>(const ConstView&, const ConstView&, const View&, int64_t);
template const bf16* normalised_row<bf16>(const ConstView&, const ConstView&, const View&, int64_t);

void accumulate_norm_parameters(const NormParameterGradients& args) {
  with_storage(args.dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    accumulate_strips<T>({.dy = args.dy.as<T>(),
                          .x = args.x.as<T>(),
                          .mean = args.mean.as<float>(),
                          .rstd = args.rstd.as<float>(),
                          .N = args.dy.shape[0],
                          .C = args.dy.shape[1],
                          .dweight = args.dweight.as<float>(),
                          .dbias = args.dbias.as<float>()});
  });
}

}  // namespace trireme::runtime::cpu
