#include "runtime/ops/linear_cuda.h"

namespace trireme::runtime::cuda {

void linear_forward(CudaQueue&, const LinearForward&, View) {
  built_without_cuda();
}

void linear_backward_input(CudaQueue&, ConstView, ConstView, View, View) {
  built_without_cuda();
}

void linear_backward_weight(CudaQueue&, ConstView, ConstView, View, View, View) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
