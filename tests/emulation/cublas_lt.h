// What the opaque descriptors of the cuBLASLt stand-in hold.
#pragma once

#include <bit>
#include <cstdint>

#include "tests/emulation/include/cublasLt.h"

namespace trireme::emulation {

struct MatrixLayout {
  uint64_t rows = 0;
  uint64_t columns = 0;
  int64_t leading = 0;  // elements from a column to the next
  int64_t batch_stride = 0;
  int32_t batch_count = 1;
  cudaDataType_t type = CUDA_R_32F;
  int32_t order = CUBLASLT_ORDER_COL;
  int32_t unused[5] = {};
};
static_assert(sizeof(MatrixLayout) == sizeof(cublasLtMatrixLayoutOpaque_t));

struct MatrixProduct {
  int32_t compute_type = CUBLAS_COMPUTE_32F;
  int32_t scale_type = CUDA_R_32F;
  int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  int32_t transpose_a = CUBLAS_OP_N;
  int32_t transpose_b = CUBLAS_OP_N;
  int32_t transpose_c = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  int32_t bias_type = -1;  // D's
  void* bias = nullptr;
  int64_t bias_batch_stride = 0;
  void* auxiliary = nullptr;
  int64_t auxiliary_leading = 0;
  int64_t auxiliary_batch_stride = 0;
  int32_t auxiliary_type = -1;
  int32_t unused[45] = {};
};
static_assert(sizeof(MatrixProduct) == sizeof(cublasLtMatmulDescOpaque_t));

struct ProductPreference {
  uint64_t max_workspace_bytes = 0;
  uint64_t unused[7] = {};
};
static_assert(sizeof(ProductPreference) == sizeof(cublasLtMatmulPreferenceOpaque_t));

template <typename Content, typename Opaque>
Content content_of(const Opaque* descriptor) {
  return std::bit_cast<Content>(*descriptor);
}

}  // namespace trireme::emulation
