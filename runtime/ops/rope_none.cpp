#include "runtime/ops/rope_cuda.h"

namespace trireme::runtime::cuda {

void fill_rope_table(CudaQueue&, double, View) {
  built_without_cuda();
}

void rope(CudaQueue&, const AttentionShape&, const Rope&) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
