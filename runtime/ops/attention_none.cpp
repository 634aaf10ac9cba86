#include "runtime/ops/attention_cuda.h"

namespace trireme::runtime::cuda {

void attention_forward(CudaQueue&, const AttentionShape&, const AttentionForward&) {
  built_without_cuda();
}

void attention_backward(CudaQueue&, const AttentionShape&, const AttentionBackward&, View) {
  built_without_cuda();
}

void cached_attention(CudaQueue&, const AttentionShape&, const CachedAttention&) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
