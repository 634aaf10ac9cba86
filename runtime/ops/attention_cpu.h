// Attention on the CPU: fp32 tiles whatever the storage. Operands were checked by attention.cpp, which also takes the
// scratch: one row for each thread, of the elements stated here.
#pragma once

#include <cstdint>

#include "runtime/ops/attention.h"

namespace trireme::runtime::cpu {

int64_t attention_forward_scratch(const AttentionShape& shape);
/// Grows with T (packed keys, values and their gradients of one head): 16 T D bytes and a few tiles.
int64_t attention_backward_scratch(const AttentionShape& shape);

/// scratch (threads, elements stated above).
void attention_forward(const AttentionShape& shape, const AttentionForward& args, View scratch);
void attention_backward(const AttentionShape& shape, const AttentionBackward& args, View scratch);
void cached_attention(const AttentionShape& shape, const CachedAttention& args, View scratch);

}  // namespace trireme::runtime::cpu
