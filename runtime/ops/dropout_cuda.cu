#include "runtime/ops/dropout_cuda.h"

#include <algorithm>
#include <cmath>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/vectors.cuh"
#include "runtime/ops/check.h"
#include "runtime/ops/elementwise_cuda.h"
#include "runtime/philox.h"

namespace trireme::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;

struct Arguments {
  PhiloxKey key;
  uint32_t site;
  uint32_t threshold;  ///< a word below it drops its channel
  float scale;         ///< of what is kept
  uint32_t T;
  uint32_t first_row;
  int64_t N;
  int64_t C;
  bool in_vectors;
};

/// A block has some rows: threadIdx.y counts them, threadIdx.x groups of channels, as many as one vector has. Where
/// vectors do not fit, the channels of a group are accessed one by one.
template <typename Value>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(Arguments a, const int64_t* samples, const Value* x, Value* y) {
  constexpr int kCount = kVectorElements<Value>;
  const int64_t own_row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (own_row >= a.N) return;
  const uint32_t row_of_microbatch = a.first_row + static_cast<uint32_t>(own_row);
  const uint32_t position = row_of_microbatch % a.T;
  const auto sample = static_cast<uint64_t>(samples[row_of_microbatch / a.T]);
  const int64_t row = own_row * a.C;
  for (int64_t c = int64_t{kCount} * threadIdx.x; c < a.C; c += int64_t{kCount} * blockDim.x) {
    Vector<Value> v;
    if (a.in_vectors) {
      v = load_vector(x + row + c);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) v[i] = c + i < a.C ? to_float(x[row + c + i]) : 0.0f;
    }
#pragma unroll
    for (int group = 0; group < kCount / 4; ++group) {
      const PhiloxCounter words =
          philox({static_cast<uint32_t>(c / 4 + group), position, a.site | static_cast<uint32_t>(sample & 0xffff) << 16,
                  static_cast<uint32_t>(sample >> 16)},
                 a.key);
#pragma unroll
      for (int i = 0; i < 4; ++i) v[4 * group + i] *= words[i] >= a.threshold ? a.scale : 0.0f;
    }
    if (a.in_vectors) {
      store_vector(y + row + c, v);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (c + i < a.C) store(y + row + c + i, v[i]);
      }
    }
  }
}

/// The least word that is kept: unit_float(word) >= probability is (word >> 8) >= probability * 2^24, exactly.
uint32_t keep_threshold(float probability) {
  return static_cast<uint32_t>(std::ceil(static_cast<double>(probability) * 0x1p24)) << 8;
}

}  // namespace

void dropout(CudaQueue& queue, const DropoutSite& site, const DropoutRows& rows, ConstView x, View y) {
  if (site.probability == 0) {
    if (y.data != x.data) cast(queue, x, y);
    return;
  }
  const int64_t N = x.shape[0];
  const int64_t C = x.shape[1];
  if (N == 0) return;
  with_storage(x.dtype, [&](auto zero) {
    using Value = decltype(zero);
    const int64_t groups = (C + kVectorElements<Value> - 1) / kVectorElements<Value>;
    const auto channels = static_cast<unsigned>(std::clamp<int64_t>(groups, 1, kThreads));
    const unsigned rows_of_block = kThreads / channels;
    const Arguments arguments = {.key = philox_key(site.seed),
                                 .site = site.site,
                                 .threshold = keep_threshold(site.probability),
                                 .scale = 1 / (1 - site.probability),
                                 .T = static_cast<uint32_t>(rows.T),
                                 .first_row = static_cast<uint32_t>(rows.first_row),
                                 .N = N,
                                 .C = C,
                                 .in_vectors = fits_vectors<Value>(C, x.data, y.data)};
    launch(queue, {.blocks = blocks_for(N, rows_of_block), .threads = {channels, rows_of_block}}, dropout_kernel<Value>,
           arguments, rows.samples.as<int64_t>(), x.as<Value>(), y.as<Value>());
  });
}

}  // namespace trireme::runtime::cuda
