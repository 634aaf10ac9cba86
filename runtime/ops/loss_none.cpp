#include "runtime/ops/loss_cuda.h"

namespace trireme::runtime::cuda {

void mask_padding(CudaQueue&, int64_t, View) {
  built_without_cuda();
}

void loss_partials(CudaQueue&, ConstView, ConstView, int64_t, View) {
  built_without_cuda();
}

void loss_merge(CudaQueue&, ConstView, View) {
  built_without_cuda();
}

void loss_total(CudaQueue&, ConstView, ConstView, View) {
  built_without_cuda();
}

void loss_gradient(CudaQueue&, ConstView, ConstView, int64_t, View) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
