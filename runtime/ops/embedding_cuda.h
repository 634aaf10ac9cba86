// embedding on the GPU; see embedding.h. embedding_none.cpp stands in where the build has no CUDA.
#pragma once

#include "runtime/cuda/sort_size.h"
#include "runtime/cuda_queue.h"
#include "runtime/ops/embedding.h"

namespace trireme::runtime::cuda {

/// Gradients of rows are sorted by id and summed in pieces of this many; a run of one id may cross into other pieces.
inline constexpr int64_t kEmbeddingPiece = 32;

/// Partial sums of the first and of the last run of each piece, fp32 rows of C, then what the sort needs. One after the
/// other both tables use the same.
inline int64_t embedding_partial_bytes(int64_t N, int64_t C) {
  return (N + kEmbeddingPiece - 1) / kEmbeddingPiece * 2 * C * 4;
}
inline int64_t embedding_backward_scratch_bytes(int64_t N, int64_t C) {
  return embedding_partial_bytes(N, C) + sort_scratch_bytes(N);
}

void embedding_forward(CudaQueue& queue, const EmbeddingForward& args);
void embedding_backward(CudaQueue& queue, const EmbeddingBackward& args, View scratch);

}  // namespace trireme::runtime::cuda
