// Causal multi-head attention with grouped K/V heads, by tiles with online softmax (Dao et al. 2022, arXiv:2205.14135):
// the T x T scores are never held, only a tile of them per thread. qkv, y, their gradients and the caches are of one
// storage (fp32 or bf16); log_sum_exp is fp32. Several documents in one sequence are kept apart by first_keys.
#pragma once

#include "runtime/arena.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

struct AttentionShape {
  int64_t B = 0;  ///< sequences
  int64_t T = 0;  ///< tokens of a sequence
  int64_t H = 0;  ///< query heads
  int64_t K = 0;  ///< key/value heads; K divides H
  int64_t D = 0;  ///< width of a head
};

/// y = softmax(q k^T / sqrt(D), causal) v. A row of qkv (B*T, (H + 2K) D) is [q heads | k heads | v heads]; y (B*T, H
/// D); log_sum_exp (B, H, T) of the scaled scores is saved for backward. Scratch for tiles is given back.
/// 4 B H D T(T+1)/2 flops; s B T (2H + 2K) D + 4 B H T bytes, s bytes an element.
struct AttentionForward {
  ConstView qkv;
  View y;
  View log_sum_exp;
  /// (B*T) i32 or absent: the first position of its sequence that a token may see, the start of its document; from 0 to
  /// its own position, never decreasing along a sequence (not checked: it is data). The result is that of attention
  /// within each document alone; absent is the same as all 0, to the bit. Whole tiles of other documents are left out;
  /// costs count the dense causal case all the same.
  ConstView first_keys{};
};
void attention_forward(Stream& stream, const AttentionShape& shape, const AttentionForward& args, Arena& scratch);

/// Gradients by recomputation of the scores; dqkv is overwritten. 10 B H D T(T+1)/2 flops, 2 of the 10 recomputed;
/// s B T (4H + 4K) D + 4 B H T bytes.
struct AttentionBackward {
  ConstView qkv;
  ConstView y;
  ConstView log_sum_exp;
  ConstView dy;
  View dqkv;
  ConstView first_keys{};  ///< as in the forward
};
void attention_backward(Stream& stream, const AttentionShape& shape, const AttentionBackward& args, Arena& scratch);

/// Attention of T new tokens of each sequence over `past` cached ones and themselves. Appends the new keys and values
/// to the caches at [past, past + T) first. qkv as above; key_cache, value_cache (B, T_max, K, D); y (B*T, H D). Same
/// result as attention_forward over past + T tokens, for the new rows, up to rounding. 4 B H D (T past + T(T+1)/2)
/// flops; s B T (2H + 2K) D + 2 s B (past + T) K D bytes: the cached part of both caches is read once, the new part
/// written.
struct CachedAttention {
  ConstView qkv;
  View key_cache;
  View value_cache;
  int64_t past = 0;
  View y;
};
void cached_attention(Stream& stream, const AttentionShape& shape, const CachedAttention& args, Arena& scratch);

}  // namespace trireme::runtime
