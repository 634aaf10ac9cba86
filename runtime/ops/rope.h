// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the half-split form of Hugging Face's Llama: channel
// i of a head turns together with channel i + D/2, by the angle position * theta^(-2i/D).
#pragma once

#include "runtime/ops/attention.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// table (positions, D) fp32: row p holds cos(p theta^(-2i/D)) for i < D/2, then the sines. Angles are computed in
/// fp64. D is even. 2 flops and 4 bytes an element.
void fill_rope_table(Stream& stream, double theta, View table);

enum class Rotation {
  forward,
  backward,  ///< the transpose, for gradients
};

/// Rotates the q and k heads of qkv (B*T, (H + 2K) D) in place, v stays; storage fp32 or bf16 (s bytes). positions
/// (B*T) i32 are rows of table (the caller's promise). With n = B T (H + K) D: 3 n flops, 2 s n + 4 B T (1 + D) bytes.
struct Rope {
  ConstView table;
  ConstView positions;
  View qkv;
  Rotation rotation = Rotation::forward;
};
void rope(Stream& stream, const AttentionShape& shape, const Rope& args);

}  // namespace trireme::runtime
