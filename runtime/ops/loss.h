// Cross entropy over the vocabulary in three ops on a chunk of tokens, so that whole logits are never held and the
// vocabulary may be split over ranks: partials of the logits, combination (a collective over the group, identity
// alone), gradient in place. Losses and gradients are sums over target tokens; a negative target is no target.
#pragma once

#include "runtime/arena.h"
#include "runtime/communicator.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// logits (N, columns)[:, V:] := -inf, which counts for nothing in what follows: columns that a device has more than
/// the vocabulary has entries. 0 flops, s N (columns - V) bytes.
void mask_padding(Stream& stream, int64_t V, View logits);

/// partials (N, 3) fp32 = per token: max of the logits, sum of exp(logit - max), the target's logit (0 when it is not
/// among these). logits (N, V_local), fp32 or bf16 (s bytes), are vocabulary entries [vocabulary_begin,
/// vocabulary_begin + V_local); targets (N) i32. Entries of -inf count for nothing; NaN and +inf make the loss NaN.
/// 4 N V flops, s N V + 16 N bytes.
void loss_partials(Stream& stream, ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials);

/// Merges the partials of all ranks of the group in place, then adds to totals (2) fp64: sum of -log p(target) and
/// count of targets. Collective over `group`; waits for it. Ranks merge in rank order, so that all get the same bits.
/// 4 N flops and 16 N + 32 bytes alone; with P ranks 6 P N flops and 12 P N bytes more (the gathered partials, which
/// take scratch).
void loss_combine(Stream& stream, Communicator& group, ConstView targets, View partials, View totals, Arena& scratch);

/// logits := softmax(logits) - onehot(target), zero where there is no target: d(sum of losses)/d(logits). partials are
/// combined. 3 N V flops, 2 s N V + 16 N bytes.
void loss_gradient(Stream& stream, ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits);

}  // namespace trireme::runtime
