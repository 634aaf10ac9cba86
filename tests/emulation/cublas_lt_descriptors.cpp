// The descriptors of the cuBLASLt stand-in: create, set, destroy.
#include <cstring>

#include "tests/emulation/cublas_lt.h"

namespace trireme::emulation {

namespace {

template <typename Content, typename Opaque>
cublasStatus_t create(Opaque** descriptor, const Content& content) {
  if (descriptor == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *descriptor = new Opaque(std::bit_cast<Opaque>(content));
  return CUBLAS_STATUS_SUCCESS;
}

/// Destroying nothing is allowed, as in cuBLASLt.
template <typename Opaque>
cublasStatus_t destroy(Opaque* descriptor) {
  delete descriptor;
  return CUBLAS_STATUS_SUCCESS;
}

/// Sets the field that `field_of` finds in the content of the descriptor; a wrong size is an error.
template <typename Content, typename Opaque, typename Assign>
cublasStatus_t change(Opaque* descriptor, const void* value, const Assign& assign) {
  if (descriptor == nullptr || value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  auto content = content_of<Content>(descriptor);
  if (!assign(content)) return CUBLAS_STATUS_INVALID_VALUE;
  *descriptor = std::bit_cast<Opaque>(content);
  return CUBLAS_STATUS_SUCCESS;
}

template <typename Field>
bool assign(Field& field, const void* value, size_t bytes) {
  if (bytes != sizeof field) return false;
  std::memcpy(&field, value, bytes);
  return true;
}

}  // namespace

}  // namespace trireme::emulation

using namespace trireme::emulation;  // NOLINT: below is cuBLASLt's interface

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  return create(layout, MatrixLayout{.rows = rows, .columns = cols, .leading = ld, .type = type});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy(layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  return change<MatrixLayout>(layout, value, [&](MatrixLayout& content) {
    switch (attribute) {
      case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return assign(content.type, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return assign(content.order, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return assign(content.rows, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_COLS:
        return assign(content.columns, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_LD:
        return assign(content.leading, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return assign(content.batch_count, value, bytes);
      case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return assign(content.batch_stride, value, bytes);
    }
    return false;
  });
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
  return create(description, MatrixProduct{.compute_type = compute_type, .scale_type = scale_type});
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return destroy(description);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  return change<MatrixProduct>(description, value, [&](MatrixProduct& content) {
    switch (attribute) {
      case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return assign(content.compute_type, value, bytes);
      case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return assign(content.scale_type, value, bytes);
      case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return assign(content.pointer_mode, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSA:
        return assign(content.transpose_a, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSB:
        return assign(content.transpose_b, value, bytes);
      case CUBLASLT_MATMUL_DESC_TRANSC:
        return assign(content.transpose_c, value, bytes);
      case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return assign(content.epilogue, value, bytes);
      case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return assign(content.bias, value, bytes);
      case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
        return assign(content.bias_batch_stride, value, bytes);
      case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        return assign(content.auxiliary, value, bytes);
      case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        return assign(content.auxiliary_leading, value, bytes);
      case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
        return assign(content.auxiliary_batch_stride, value, bytes);
      case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
        return assign(content.auxiliary_type, value, bytes);
      case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return assign(content.bias_type, value, bytes);
    }
    return false;
  });
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(preference, ProductPreference{});
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy(preference);
}

/// The other preferences do not matter here: every algorithm takes every alignment.
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  return change<ProductPreference>(preference, value, [&](ProductPreference& content) {
    uint32_t word = 0;
    if (attribute != CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return assign(word, value, bytes);
    return assign(content.max_workspace_bytes, value, bytes);
  });
}
