// Token and position embedding. Tables and activations are of one storage (fp32 or bf16, s bytes an element); gradients
// of tables are fp32.
#pragma once

#include "runtime/arena.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// y[i] = token_table[tokens[i] - vocabulary_begin] + position_table[positions[i]].
/// tokens, positions (N) i32; token_table (V_local, C); position_table (P, C), or absent; y (N, C).
/// The token table may be a part of the vocabulary, an empty one too: [vocabulary_begin, vocabulary_begin + V_local).
/// A token outside adds nothing, its row is that of its position alone, or zero.
/// Positions are the caller's promise; those of an absent position_table are not read.
/// N C flops, 8 N + 3 s N C bytes; without positions 0 flops, 4 N + 2 s N C bytes. Tokens outside cost as others do.
struct EmbeddingForward {
  ConstView tokens;
  ConstView positions;
  ConstView token_table;
  ConstView position_table;
  View y;
  int64_t vocabulary_begin = 0;
};
void embedding_forward(Stream& stream, const EmbeddingForward& args);

/// dtoken_table[tokens[i] - vocabulary_begin] += dy[i], tokens outside of the table's part of the vocabulary left out;
/// dposition_table[positions[i]] += dy[i]. Accumulates: on the CPU in index order for any thread count; on the GPU rows
/// of one id are added in index order within pieces, and the pieces in an order that only depends on the ids. With t =
/// 2 tables (1 without positions): t N C flops, 4 t N + s N C + 8 t N C bytes, tokens outside included.
struct EmbeddingBackward {
  ConstView tokens;
  ConstView positions;
  ConstView dy;
  View dtoken_table;
  View dposition_table;  ///< or absent
  int64_t vocabulary_begin = 0;
};
void embedding_backward(Stream& stream, const EmbeddingBackward& args, Arena& scratch);

}  // namespace trireme::runtime
