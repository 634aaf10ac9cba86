// Attention on the GPU: which kernels a call takes. bf16 of head widths 64 and 128 goes to the tensor cores
// (attention_mma_cuda.h); fp32, other widths, operands that are not 16-byte aligned and the steps of generation to the
// plain kernels, which are the oracle of the former.
#include "runtime/ops/attention_cuda.h"

#include <cmath>
#include <cstdint>

#include "runtime/cuda/launch.cuh"
#include "runtime/ops/attention_backward_cuda.cuh"
#include "runtime/ops/attention_delta_cuda.h"
#include "runtime/ops/attention_forward_cuda.cuh"
#include "runtime/ops/attention_mma_cuda.h"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

using namespace plain_attention;

/// Decoding steps of fewer tokens go query by query: a tile of 64 would be mostly padding.
constexpr int64_t kFewTokens = 16;
constexpr unsigned kRowsThreads = 256;

constexpr int64_t tile_bytes(int tiles) {
  return tiles * kAttentionTileFloats * static_cast<int64_t>(sizeof(float));
}

/// One block for each tile of each head and chunk of columns.
Grid tile_grid(int64_t tokens, int64_t heads, int64_t D, int tiles) {
  return {.blocks = blocks_for(attention_tiles(tokens) * heads * attention_tiles(D), 1),
          .threads = kAttentionThreads,
          .shared_bytes = tile_bytes(tiles)};
}

const int32_t* first_keys_of(const ConstView& first_keys) {
  return first_keys.absent() ? nullptr : first_keys.as<int32_t>();
}

/// `lanes` (a power of two) share a row of a head; blocks of kRowsThreads.
template <typename T>
__global__ void __launch_bounds__(kRowsThreads)
    delta_kernel(const T* y, const T* dy, float* delta, AttentionShape shape, int lanes, bool vectors) {
  constexpr int kElements = kVectorElements<T>;
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kRowsThreads + threadIdx.x) / lanes;  // (B, T, H)
  const bool exists = row < shape.B * shape.T * shape.H;
  float sum = 0.0f;
  for (int64_t d = threadIdx.x % lanes * kElements; exists && d < shape.D; d += lanes * kElements) {
    const T* of_y = y + row * shape.D + d;
    const T* of_dy = dy + row * shape.D + d;
    if (vectors) {
      const Vector<T> a = load_vector(of_y);
      const Vector<T> b = load_vector(of_dy);
#pragma unroll
      for (int e = 0; e < kElements; ++e) sum += a[e] * b[e];
    } else {
      for (int e = 0; e < kElements && d + e < shape.D; ++e) sum += to_float(of_y[e]) * to_float(of_dy[e]);
    }
  }
  sum = lanes_sum(sum, lanes);
  if (!exists || threadIdx.x % lanes != 0) return;
  const int64_t token = row / shape.H;
  delta[((token / shape.T) * shape.H + row % shape.H) * shape.T + token % shape.T] = sum;
}

/// Where the new keys and values lie and go to, in words.
struct Append {
  int64_t tokens = 0;      ///< of a sequence
  int64_t words = 0;       ///< of a token's keys, or values
  int64_t row = 0;         ///< of qkv
  int64_t keys_begin = 0;  ///< of a row
  int64_t past = 0;
  int64_t T_max = 0;
};
template <typename Word>
__global__ void append_kernel(const Word* qkv, Word* key_cache, Word* value_cache, Append append, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64_t token = i / append.words;
  const int64_t word = i % append.words;
  const int64_t row = token / append.tokens * append.T_max + append.past + token % append.tokens;
  const Word* from = qkv + token * append.row + append.keys_begin + word;
  key_cache[row * append.words + word] = from[0];
  value_cache[row * append.words + word] = from[append.words];
}

template <typename Word>
void append_words(CudaQueue& queue, const AttentionShape& shape, const CachedAttention& args) {
  const auto [B, T, H, K, D] = shape;
  const auto words = [&](int64_t elements) {
    return elements * size_bytes(args.qkv.dtype) / static_cast<int64_t>(sizeof(Word));
  };
  const Append append{.tokens = T,
                      .words = words(K * D),
                      .row = words((H + 2 * K) * D),
                      .keys_begin = words(H * D),
                      .past = args.past,
                      .T_max = args.key_cache.shape[1]};
  const int64_t count = B * T * append.words;
  launch(queue, {.blocks = blocks_for(count, kRowsThreads), .threads = kRowsThreads}, append_kernel<Word>,
         static_cast<const Word*>(args.qkv.data), static_cast<Word*>(args.key_cache.data),
         static_cast<Word*>(args.value_cache.data), append, count);
}

template <typename T>
void append_to_caches(CudaQueue& queue, const AttentionShape& shape, const CachedAttention& args) {
  if (fits_vectors<T>(shape.D, args.qkv.data, args.key_cache.data, args.value_cache.data)) {
    append_words<uint4>(queue, shape, args);
  } else {
    append_words<uint16_t>(queue, shape, args);  // every storage is whole ones
  }
}

template <typename T>
void launch_tiles(CudaQueue& queue, const ForwardOperands<T>& operands, int64_t B) {
  launch(queue, tile_grid(operands.T_new, B * operands.H, operands.D, kForwardTiles), attention_forward_kernel<T>,
         operands, B);
}

template <typename T>
void plain_forward(CudaQueue& queue, const AttentionShape& shape, const AttentionForward& args) {
  const auto [B, tokens, H, K, D] = shape;
  const int64_t row = (H + 2 * K) * D;
  const T* qkv = args.qkv.as<T>();
  launch_tiles<T>(queue,
                  {.queries = {qkv, row},
                   .keys = {qkv + H * D, row},
                   .values = {qkv + (H + K) * D, row},
                   .y = {args.y.as<T>(), H * D},
                   .log_sum_exp = args.log_sum_exp.as<float>(),
                   .first_keys = first_keys_of(args.first_keys),
                   .T_new = tokens,
                   .H = H,
                   .K = K,
                   .D = D,
                   .past = 0,
                   .keys_of_sequence = tokens,
                   .scale = 1.0f / std::sqrt(static_cast<float>(D)),
                   .vectors = fits_vectors<T>(D, args.qkv.data, args.y.data)},
                  B);
}

template <typename T>
void plain_cached(CudaQueue& queue, const AttentionShape& shape, const CachedAttention& args) {
  const auto [B, tokens, H, K, D] = shape;
  append_to_caches<T>(queue, shape, args);
  const ForwardOperands<T> operands{
      .queries = {args.qkv.as<T>(), (H + 2 * K) * D},
      .keys = {args.key_cache.as<T>(), K * D},
      .values = {args.value_cache.as<T>(), K * D},
      .y = {args.y.as<T>(), H * D},
      .T_new = tokens,
      .H = H,
      .K = K,
      .D = D,
      .past = args.past,
      .keys_of_sequence = args.key_cache.shape[1],
      .scale = 1.0f / std::sqrt(static_cast<float>(D)),
      .vectors = fits_vectors<T>(D, args.qkv.data, args.key_cache.data, args.value_cache.data, args.y.data)};
  if (tokens >= kFewTokens || D > kRowMaxWidth) {
    launch_tiles<T>(queue, operands, B);
    return;
  }
  launch(queue, {.blocks = blocks_for(B * tokens * H, 1), .threads = kRowWarps * kWarp}, attention_rows_kernel<T>,
         operands, lanes_of_row<T>(D));
}

template <typename T>
void plain_backward(CudaQueue& queue, const AttentionShape& shape, const AttentionBackward& args, ConstView delta) {
  const auto [B, tokens, H, K, D] = shape;
  const int64_t row = (H + 2 * K) * D;
  const T* qkv = args.qkv.as<T>();
  T* dqkv = args.dqkv.as<T>();
  const BackwardOperands<T> operands{.queries = {qkv, row},
                                     .keys = {qkv + H * D, row},
                                     .values = {qkv + (H + K) * D, row},
                                     .dy = {args.dy.as<T>(), H * D},
                                     .queries_gradient = {dqkv, row},
                                     .keys_gradient = {dqkv + H * D, row},
                                     .values_gradient = {dqkv + (H + K) * D, row},
                                     .log_sum_exp = args.log_sum_exp.as<float>(),
                                     .delta = delta.as<float>(),
                                     .first_keys = first_keys_of(args.first_keys),
                                     .tokens = tokens,
                                     .H = H,
                                     .K = K,
                                     .D = D,
                                     .scale = 1.0f / std::sqrt(static_cast<float>(D)),
                                     .vectors = fits_vectors<T>(D, args.qkv.data, args.dy.data, args.dqkv.data)};
  launch(queue, tile_grid(tokens, B * H, D, kBackwardTiles), attention_queries_gradient_kernel<T>, operands, B);
  launch(queue, tile_grid(tokens, B * K, D, kBackwardTiles), attention_keys_gradient_kernel<T>, operands, B);
}

}  // namespace

void attention_delta(CudaQueue& queue, const AttentionShape& shape, ConstView y, ConstView dy, View delta) {
  with_storage(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int lanes = lanes_of_row<T>(shape.D);
    const int64_t rows = shape.B * shape.T * shape.H;
    launch(queue, {.blocks = blocks_for(rows * lanes, kRowsThreads), .threads = kRowsThreads}, delta_kernel<T>,
           y.as<T>(), dy.as<T>(), delta.as<float>(), shape, lanes, fits_vectors<T>(shape.D, y.data, dy.data));
  });
}

void attention_forward(CudaQueue& queue, const AttentionShape& shape, const AttentionForward& args) {
  if (attention_mma_fits(shape, args.qkv.dtype, {args.qkv.data, args.y.data})) {
    return attention_mma_forward(queue, shape, args);
  }
  with_storage(args.qkv.dtype, [&](auto zero) { plain_forward<decltype(zero)>(queue, shape, args); });
}

void attention_backward(CudaQueue& queue, const AttentionShape& shape, const AttentionBackward& args, View scratch) {
  attention_delta(queue, shape, args.y, args.dy, scratch);
  if (attention_mma_fits(shape, args.qkv.dtype, {args.qkv.data, args.dy.data, args.dqkv.data})) {
    return attention_mma_backward(queue, shape, args, scratch);
  }
  with_storage(args.qkv.dtype, [&](auto zero) { plain_backward<decltype(zero)>(queue, shape, args, scratch); });
}

void cached_attention(CudaQueue& queue, const AttentionShape& shape, const CachedAttention& args) {
  with_storage(args.qkv.dtype, [&](auto zero) { plain_cached<decltype(zero)>(queue, shape, args); });
}

}  // namespace trireme::runtime::cuda
