#include "runtime/cuda/lt_product.cuh"

#include <array>
#include <bit>
#include <source_location>

#include "runtime/error.h"
#include "runtime/log.h"

namespace trireme::runtime::cuda {
namespace {

std::string failure_of(const char* call, cublasStatus_t status) {
  return std::string("cuBLASLt failed: ") + call + ": " + cublasLtGetStatusString(status);
}

void check_lt(cublasStatus_t status, const char* call, std::source_location where = std::source_location::current()) {
  if (status != CUBLAS_STATUS_SUCCESS) throw Error(ErrorKind::device, failure_of(call, status), where);
}
#define TRIREME_LT_CHECK(call) check_lt((call), #call)

/// Destructors log, never throw.
void log_lt(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) log_error(failure_of(call, status));
}

cudaDataType_t cuda_type(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

/// What is row-major (rows, columns) for us is (columns, rows) for cuBLASLt, whose matrices lie column by column. So it
/// computes the transposed product result^T (m, n) = a (m, k) b (k, n) with a, b our right and left factors.
struct ColumnProduct {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
};
ColumnProduct column_product(const ProductKey& key) {
  switch (key.kind) {
    case ProductKind::forward:
    case ProductKind::forward_bias:
    case ProductKind::forward_onto:  // y^T (C_out, N) = w x^T
      return {key.C_out, key.N, key.C_in, true, false};
    case ProductKind::backward_input:  // dx^T (C_in, N) = w^T dy^T
      return {key.C_in, key.N, key.C_out, false, false};
    case ProductKind::backward_weight:
    case ProductKind::backward_weight_bias:  // dweight^T (C_in, C_out) = x^T dy
      break;
  }
  return {key.C_in, key.C_out, key.N, false, true};
}

/// bias is added along the rows of y^T; the bias gradient sums b = dy over k = N.
cublasLtEpilogue_t epilogue_of(ProductKind kind) {
  if (kind == ProductKind::forward_bias) return CUBLASLT_EPILOGUE_BIAS;
  return kind == ProductKind::backward_weight_bias ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_DEFAULT;
}

bool is_added_to(ProductKind kind) {
  return kind == ProductKind::forward_onto || kind == ProductKind::backward_weight ||
         kind == ProductKind::backward_weight_bias;
}

template <typename Value>
void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, Value value) {
  TRIREME_LT_CHECK(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof(value)));
}

template <typename Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, Value value) {
  TRIREME_LT_CHECK(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)));
}

cublasLtMatrixLayout_t layout(DType dtype, int64_t rows, int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  TRIREME_LT_CHECK(cublasLtMatrixLayoutCreate(&made, cuda_type(dtype), static_cast<uint64_t>(rows),
                                              static_cast<uint64_t>(columns), rows));
  return made;
}

struct PreferenceDelete {
  void operator()(cublasLtMatmulPreference_t preference) const {
    log_lt(cublasLtMatmulPreferenceDestroy(preference), "cublasLtMatmulPreferenceDestroy");
  }
};
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, PreferenceDelete>;

/// Within the workspace, for operands aligned as they are. Where the sum over k is split, only by the scheme that
/// stores partial sums as fp32 in the workspace and adds them in a step of its own: IN_PLACE and OUTPUT_TYPE round
/// partial sums to the type of the result, and of the order of IN_PLACE NVIDIA only says that it is sequential. NVIDIA
/// (cuBLAS documentation, "Results reproducibility") promises the same bits in every run for the same version,
/// architecture and number of SMs while one stream is active: an algorithm kept on disk keeps its bits. What several
/// streams would change there is the choice of algorithm and workspace, and both are given here.
Preference preference_of(const ProductKey& key, int64_t workspace_bytes) {
  cublasLtMatmulPreference_t made = nullptr;
  TRIREME_LT_CHECK(cublasLtMatmulPreferenceCreate(&made));
  Preference preference(made);
  set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes));
  set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  const auto alignment = static_cast<uint32_t>(key.alignment_bytes);
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(made, attribute, alignment);
  }
  return preference;
}

}  // namespace

LtHandle::LtHandle() {
  TRIREME_LT_CHECK(cublasLtCreate(&handle_));
}

LtHandle::~LtHandle() {
  log_lt(cublasLtDestroy(handle_), "cublasLtDestroy");
}

int64_t LtHandle::version() {
  return static_cast<int64_t>(cublasLtGetVersion());
}

ProductSizes sizes_of(const ProductKey& key) {
  const int64_t x = key.N * key.C_in;
  const int64_t y = key.N * key.C_out;
  const int64_t weight = key.C_out * key.C_in;
  const DType s = key.storage;
  switch (key.kind) {
    case ProductKind::forward:
    case ProductKind::forward_bias:
    case ProductKind::forward_onto:
      return {s, s, s, x, weight, y, key.kind == ProductKind::forward_bias ? key.C_out : 0};
    case ProductKind::backward_input:
      return {s, s, s, y, weight, x, 0};
    case ProductKind::backward_weight:
    case ProductKind::backward_weight_bias:
      break;
  }
  return {s, DType::fp32, DType::fp32, y, x, weight, key.kind == ProductKind::backward_weight_bias ? key.C_out : 0};
}

LtProduct::LtProduct(const LtHandle& handle, const ProductKey& key, int64_t workspace_bytes)
    : handle_(handle.get()), key_(key), workspace_bytes_(workspace_bytes), beta_(is_added_to(key.kind) ? 1.0f : 0.0f) {
  const auto [m, n, k, transpose_a, transpose_b] = column_product(key);
  const ProductSizes sizes = sizes_of(key);
  // fp32 inputs are multiplied as fp32: TF32 would be another compute type.
  TRIREME_LT_CHECK(cublasLtMatmulDescCreate(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  set(product_, CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N));
  set(product_, CUBLASLT_MATMUL_DESC_TRANSB, static_cast<int32_t>(transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N));
  set(product_, CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<uint32_t>(epilogue_of(key.kind)));
  if (has_bias()) {
    set(product_, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(cuda_type(sizes.bias)));
    // Nothing is read while algorithms are chosen, but the address says how the bias will be aligned.
    set_bias(reinterpret_cast<const void*>(static_cast<uintptr_t>(key.alignment_bytes)));
  }
  a_ = transpose_a ? layout(sizes.factors, k, m) : layout(sizes.factors, m, k);
  b_ = transpose_b ? layout(sizes.factors, n, k) : layout(sizes.factors, k, n);
  result_ = layout(sizes.result, m, n);
}

LtProduct::~LtProduct() {
  for (const cublasLtMatrixLayout_t made : {a_, b_, result_}) {
    log_lt(cublasLtMatrixLayoutDestroy(made), "cublasLtMatrixLayoutDestroy");
  }
  log_lt(cublasLtMatmulDescDestroy(product_), "cublasLtMatmulDescDestroy");
}

std::vector<ProductAlgorithm> LtProduct::candidates() const {
  const Preference preference = preference_of(key_, workspace_bytes_);
  std::array<cublasLtMatmulHeuristicResult_t, kMostCandidates> results{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_, product_, a_, b_, result_, result_, preference.get(), kMostCandidates, results.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return {};
  check_lt(status, "cublasLtMatmulAlgoGetHeuristic");
  std::vector<ProductAlgorithm> algorithms;
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& result = results[static_cast<size_t>(i)];
    if (result.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(std::bit_cast<ProductAlgorithm>(result.algo));
  }
  return algorithms;
}

bool LtProduct::accepts(const ProductAlgorithm& algorithm) const {
  const auto lt_algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(algorithm);
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(handle_, product_, a_, b_, result_, result_, &lt_algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= static_cast<size_t>(workspace_bytes_);
}

void LtProduct::set_bias(const void* bias) const {
  set(product_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
}

cublasStatus_t LtProduct::queue_product(cudaStream_t stream, const ProductOperands& operands,
                                        const ProductAlgorithm& algorithm, void* workspace) const {
  const float alpha = 1.0f;
  const auto lt_algorithm = std::bit_cast<cublasLtMatmulAlgo_t>(algorithm);
  if (has_bias()) set_bias(operands.bias);
  return cublasLtMatmul(handle_, product_, &alpha, operands.right, a_, operands.left, b_, &beta_, operands.result,
                        result_, operands.result, result_, &lt_algorithm, workspace,
                        static_cast<size_t>(workspace_bytes_), stream);
}

bool LtProduct::try_run(cudaStream_t stream, const ProductOperands& operands, const ProductAlgorithm& algorithm,
                        void* workspace) const {
  return queue_product(stream, operands, algorithm, workspace) == CUBLAS_STATUS_SUCCESS;
}

void LtProduct::run(cudaStream_t stream, const ProductOperands& operands, const ProductAlgorithm& algorithm,
                    void* workspace) const {
  check_lt(queue_product(stream, operands, algorithm, workspace), to_string(key_).c_str());
}

}  // namespace trireme::runtime::cuda
