#include "runtime/ops/rope_cuda.h"

#include <algorithm>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/vectors.cuh"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    fill_rope_table_kernel(double theta, int64_t pairs, int64_t D, float* table) {
  const int64_t pair = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (pair >= pairs) return;
  const int64_t position = pair / (D / 2);
  const int64_t i = pair % (D / 2);
  const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(D);
  const double angle = static_cast<double>(position) * pow(theta, exponent);
  float* row = table + position * D;
  row[i] = static_cast<float>(cos(angle));
  row[D / 2 + i] = static_cast<float>(sin(angle));
}

/// Sizes in elements.
struct RopeSizes {
  int64_t tokens;
  int64_t heads;  ///< that turn: q and k
  int64_t row;    ///< of qkv
  int64_t D;
  float direction;  ///< -1 turns back
};

/// One number, or several in 16-byte accesses.
template <int kCount>
__device__ __forceinline__ void load_table(const float* address, float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    values[0] = *address;
  } else {
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      const Vector<float> v = load_vector(address + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) values[i + j] = v[j];
    }
  }
}

/// A thread turns the same kCount channels i.. and i + D/2.. of several heads of a token: threadIdx.x counts channels,
/// .y heads, .z tokens. So cosines and sines are fetched once.
template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    rope_kernel(RopeSizes sizes, const float* table, const int32_t* positions, T* qkv) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * blockDim.z + threadIdx.z;
  if (token >= sizes.tokens) return;
  const int64_t half = sizes.D / 2;
  const float* cosines = table + positions[token] * sizes.D;
  for (int64_t i = int64_t{kCount} * threadIdx.x; i < half; i += int64_t{kCount} * blockDim.x) {
    float cosine[kCount];
    float sine[kCount];
    load_table(cosines + i, cosine);
    load_table(cosines + half + i, sine);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sine[j] *= sizes.direction;
    for (int64_t head = threadIdx.y; head < sizes.heads; head += blockDim.y) {
      T* first = qkv + token * sizes.row + head * sizes.D + i;
      T* second = first + half;
      if constexpr (kCount == 1) {
        const float a = to_float(*first);
        const float b = to_float(*second);
        store(first, a * cosine[0] - b * sine[0]);
        store(second, b * cosine[0] + a * sine[0]);
      } else {
        Vector<T> a = load_vector(first);
        Vector<T> b = load_vector(second);
#pragma unroll
        for (int j = 0; j < kCount; ++j) {
          const float turned = a[j] * cosine[j] - b[j] * sine[j];
          b[j] = b[j] * cosine[j] + a[j] * sine[j];
          a[j] = turned;
        }
        store_vector(first, a);
        store_vector(second, b);
      }
    }
  }
}

/// Threads of a block for `channels` (packs of them) of each of `heads`: few idle ones, and several tokens where one
/// would leave the block small.
dim3 rope_threads(int64_t channels, int64_t heads) {
  const int64_t x = std::clamp<int64_t>(channels, 1, kThreads);
  const int64_t most = kThreads / x;
  const int64_t rounds = std::max<int64_t>(1, (heads + most - 1) / most);
  const int64_t y = std::max<int64_t>(1, (heads + rounds - 1) / rounds);
  const int64_t z = std::min<int64_t>(kThreads / (x * y), 64);  // CUDA's limit of that axis
  return {static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)};
}

}  // namespace

void fill_rope_table(CudaQueue& queue, double theta, View table) {
  const int64_t pairs = table.elements() / 2;
  launch(queue, {.blocks = blocks_for(pairs, kThreads), .threads = kThreads}, fill_rope_table_kernel, theta, pairs,
         table.shape[1], table.as<float>());
}

void rope(CudaQueue& queue, const AttentionShape& shape, const Rope& args) {
  const RopeSizes sizes = {.tokens = shape.B * shape.T,
                           .heads = shape.H + shape.K,
                           .row = (shape.H + 2 * shape.K) * shape.D,
                           .D = shape.D,
                           .direction = args.rotation == Rotation::forward ? 1.0f : -1.0f};
  with_storage(args.qkv.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto run = [&](auto kernel, int64_t channels) {
      const dim3 threads = rope_threads(channels, sizes.heads);
      launch(queue, {.blocks = blocks_for(sizes.tokens, threads.z), .threads = threads}, kernel, sizes,
             args.table.as<float>(), args.positions.as<int32_t>(), args.qkv.as<T>());
    };
    // Half a head in vectors implies that heads, rows and rows of the table are too.
    if (fits_vectors<T>(shape.D / 2, args.qkv.data, args.table.data)) {
      run(rope_kernel<T, kVectorElements<T>>, shape.D / 2 / kVectorElements<T>);
    } else {
      run(rope_kernel<T, 1>, shape.D / 2);
    }
  });
}

}  // namespace trireme::runtime::cuda
