// The loss on the CPU; operands were checked by runtime/ops/loss.cpp, which also gathers the partials of all ranks.
#pragma once

#include "runtime/ops/loss.h"

namespace trireme::runtime::cpu {

void mask_padding(int64_t V, View logits);
void loss_partials(ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials);
/// gathered (P, N, 3) in rank order -> partials (N, 3) of the whole vocabulary.
void loss_merge(ConstView gathered, View partials);
/// totals += (sum of losses, count of targets), fp64, in index order.
void loss_total(ConstView partials, ConstView targets, View totals);
void loss_gradient(ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits);

}  // namespace trireme::runtime::cpu
