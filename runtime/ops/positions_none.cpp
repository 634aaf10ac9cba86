#include "runtime/ops/positions_cuda.h"

namespace trireme::runtime::cuda {

void fill_positions(CudaQueue&, int64_t, int64_t, View) {
  built_without_cuda();
}

}  // namespace trireme::runtime::cuda
