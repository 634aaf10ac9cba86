#include "runtime/ops/embedding_cuda.h"

namespace trireme::runtime::cuda {

void embedding_forward(CudaQueue&, const EmbeddingForward&) {
  built_without_cuda();
}

void embedding_backward(CudaQueue&, const EmbeddingBackward&, View) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
