// The embedding on the CPU; operands were checked by runtime/ops/embedding.cpp.
#pragma once

#include "runtime/ops/embedding.h"

namespace trireme::runtime::cpu {

void embedding_forward(const EmbeddingForward& args);
void embedding_backward(const EmbeddingBackward& args);

}  // namespace trireme::runtime::cpu
