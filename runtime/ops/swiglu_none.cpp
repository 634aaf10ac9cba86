#include "runtime/ops/swiglu_cuda.h"

namespace trireme::runtime::cuda {

void swiglu_forward(CudaQueue&, ConstView, View) {
  built_without_cuda();
}

void swiglu_backward(CudaQueue&, ConstView, ConstView, View) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
