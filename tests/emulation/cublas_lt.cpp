#include "tests/emulation/cublas_lt.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "runtime/bf16.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/streams.h"

struct cublasLtContext {  // NOLINT: NVIDIA's name
  int device;
};

namespace trireme::emulation {

namespace {

constexpr uint64_t kAlgorithmMark = 0x7472697265'6d65ULL;  // in data[0]: made by this stand-in
constexpr std::array<size_t, 3> kWorkspaceBytes = {0, 1 << 20, 32 << 20};
constexpr uintptr_t kWorkspaceAlignment = 256;
constexpr size_t kScribble = 64 << 10;

/// D = alpha op(A) op(B) + beta C with all that it needs, copied when the call was made.
struct Product {
  MatrixProduct description;
  MatrixLayout a_layout, b_layout, c_layout, d_layout;
  float alpha = 1, beta = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  const void* c = nullptr;
  void* d = nullptr;
  size_t algorithm = 0;
  unsigned char* workspace = nullptr;
  uint64_t m = 0, n = 0, k = 0;
};

bool is_bf16(int32_t type) {
  return type == CUDA_R_16BF;
}

float load(const void* data, int32_t type, int64_t index) {
  if (is_bf16(type)) return static_cast<const runtime::bf16*>(data)[index];
  return static_cast<const float*>(data)[index];
}

void store(void* data, int32_t type, int64_t index, float value) {
  if (is_bf16(type)) {
    static_cast<runtime::bf16*>(data)[index] = value;
  } else {
    static_cast<float*>(data)[index] = value;
  }
}

/// op(matrix) of one batch as fp32, column after column.
std::vector<float> unpacked(const void* data, const MatrixLayout& layout, bool transpose, int batch) {
  const auto rows = static_cast<int64_t>(transpose ? layout.columns : layout.rows);
  const auto columns = static_cast<int64_t>(transpose ? layout.rows : layout.columns);
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t at = batch * layout.batch_stride + (transpose ? j + i * layout.leading : i + j * layout.leading);
      values[static_cast<size_t>(j * rows + i)] = load(data, layout.type, at);
    }
  }
  return values;
}

/// sums[i] += the products of k in [begin, end), in ascending order. a_columns: (k, m), b_column: (k).
void accumulate(std::vector<float>& sums, const float* a_columns, const float* b_column, uint64_t begin, uint64_t end) {
  const size_t m = sums.size();
  for (uint64_t k = begin; k < end; ++k) {
    const float factor = b_column[k];
    const float* column = a_columns + k * m;
    for (size_t i = 0; i < m; ++i) sums[i] += column[i] * factor;
  }
}

/// One column of op(A) op(B). The algorithms add the same products in different orders.
std::vector<float> column_of_product(const Product& product, const float* a_columns, const float* b_column) {
  const uint64_t part = product.algorithm == 0   ? product.k
                        : product.algorithm == 1 ? (product.k + 1) / 2
                                                 : std::min<uint64_t>(product.k, 16);
  std::vector<float> sums(product.m);
  for (uint64_t begin = 0; begin < product.k; begin += part) {
    std::vector<float> sums_of_part(product.m);
    accumulate(sums_of_part, a_columns, b_column, begin, std::min(begin + part, product.k));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += sums_of_part[i];
  }
  return sums;
}

int32_t bias_type(const Product& product) {
  return product.description.bias_type < 0 ? product.d_layout.type : product.description.bias_type;
}

/// The bias gradient: the rows of op(A), or the columns of op(B), added over k.
void store_bias_gradient(const Product& product, const std::vector<float>& a_columns,
                         const std::vector<float>& b_columns) {
  const bool of_a = product.description.epilogue == CUBLASLT_EPILOGUE_BGRADA;
  const uint64_t count = of_a ? product.m : product.n;
  for (uint64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (uint64_t k = 0; k < product.k; ++k) sum += of_a ? a_columns[k * product.m + i] : b_columns[i * product.k + k];
    store(product.description.bias, bias_type(product), static_cast<int64_t>(i), sum);
  }
}

void run_batch(const Product& product, int batch) {
  const MatrixProduct& description = product.description;
  const std::vector<float> a = unpacked(product.a, product.a_layout, description.transpose_a != CUBLAS_OP_N, batch);
  const std::vector<float> b = unpacked(product.b, product.b_layout, description.transpose_b != CUBLAS_OP_N, batch);
  const bool with_bias = description.epilogue == CUBLASLT_EPILOGUE_BIAS;
  for (uint64_t j = 0; j < product.n; ++j) {
    const std::vector<float> sums = column_of_product(product, a.data(), b.data() + j * product.k);
    for (uint64_t i = 0; i < product.m; ++i) {
      const auto place = [&](const MatrixLayout& layout) {
        return batch * layout.batch_stride + static_cast<int64_t>(i) + static_cast<int64_t>(j) * layout.leading;
      };
      float value = product.alpha * sums[i];
      if (product.beta != 0) value += product.beta * load(product.c, product.c_layout.type, place(product.c_layout));
      if (with_bias) {
        value +=
            load(description.bias, bias_type(product), batch * description.bias_batch_stride + static_cast<int64_t>(i));
      }
      store(product.d, product.d_layout.type, place(product.d_layout), value);
    }
  }
  const bool gradient =
      description.epilogue == CUBLASLT_EPILOGUE_BGRADA || description.epilogue == CUBLASLT_EPILOGUE_BGRADB;
  if (gradient) store_bias_gradient(product, a, b);
}

/// Both ends of the workspace are written, so that one which overlaps something is noticed.
void run(const Product& product) {
  if (const size_t bytes = kWorkspaceBytes[product.algorithm]; bytes > 0) {
    std::memset(product.workspace, 0xff, kScribble);
    std::memset(product.workspace + bytes - kScribble, 0xff, kScribble);
  }
  for (int batch = 0; batch < product.d_layout.batch_count; ++batch) run_batch(product, batch);
}

bool known_type(int32_t type) {
  return type == CUDA_R_32F || type == CUDA_R_16BF;
}

/// What cuBLASLt computes in 32F on this GPU: fp32 or bf16 inputs, an output of fp32 or of the inputs' type, a bias of
/// the output's type. NVIDIA, "cuBLAS", table of data types of cublasLtMatmul.
bool types_supported(const Product& product) {
  const MatrixProduct& description = product.description;
  const int32_t in = product.a_layout.type;
  const int32_t out = product.d_layout.type;
  if (description.compute_type != CUBLAS_COMPUTE_32F || description.scale_type != CUDA_R_32F) return false;
  if (!known_type(in) || product.b_layout.type != in || product.c_layout.type != out) return false;
  if (out != CUDA_R_32F && out != in) return false;
  for (const MatrixLayout* layout : {&product.a_layout, &product.b_layout, &product.c_layout, &product.d_layout})
    if (layout->order != CUBLASLT_ORDER_COL) return false;
  if (description.pointer_mode != CUBLASLT_POINTER_MODE_HOST || description.transpose_c != CUBLAS_OP_N) return false;
  return bias_type(product) == out;
}

bool epilogue_supported(const Product& product) {
  switch (product.description.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
      return true;
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
      return product.d_layout.batch_count == 1;
    default:
      return false;
  }
}

/// Fills in m, n, k; false where the shapes do not fit.
bool shapes_fit(Product& product) {
  const auto rows = [](const MatrixLayout& layout, int32_t op) {
    return op == CUBLAS_OP_N ? layout.rows : layout.columns;
  };
  const auto columns = [](const MatrixLayout& layout, int32_t op) {
    return op == CUBLAS_OP_N ? layout.columns : layout.rows;
  };
  const MatrixProduct& description = product.description;
  product.m = product.d_layout.rows;
  product.n = product.d_layout.columns;
  product.k = columns(product.a_layout, description.transpose_a);
  for (const MatrixLayout* layout : {&product.a_layout, &product.b_layout, &product.c_layout, &product.d_layout}) {
    if (layout->rows == 0 || layout->columns == 0 || layout->leading < static_cast<int64_t>(layout->rows)) return false;
    if (layout->batch_count < 1 || layout->batch_count != product.d_layout.batch_count) return false;
  }
  return rows(product.a_layout, description.transpose_a) == product.m &&
         rows(product.b_layout, description.transpose_b) == product.k &&
         columns(product.b_layout, description.transpose_b) == product.n && product.c_layout.rows == product.m &&
         product.c_layout.columns == product.n;
}

/// The product that the descriptors describe, in `product`.
cublasStatus_t describe(Product& product, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
                        cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
  if (description == nullptr || a == nullptr || b == nullptr || c == nullptr || d == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  product.description = content_of<MatrixProduct>(description);
  product.a_layout = content_of<MatrixLayout>(a);
  product.b_layout = content_of<MatrixLayout>(b);
  product.c_layout = content_of<MatrixLayout>(c);
  product.d_layout = content_of<MatrixLayout>(d);
  if (!shapes_fit(product)) return CUBLAS_STATUS_INVALID_VALUE;
  return types_supported(product) && epilogue_supported(product) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

std::optional<size_t> index_of(const cublasLtMatmulAlgo_t& algorithm) {
  if (algorithm.data[0] != kAlgorithmMark || algorithm.data[1] >= kWorkspaceBytes.size()) return std::nullopt;
  return algorithm.data[1];
}

void answer(size_t index, cublasLtMatmulHeuristicResult_t& result) {
  result = {};
  result.algo.data[0] = kAlgorithmMark;
  result.algo.data[1] = index;
  result.workspaceSize = kWorkspaceBytes[index];
  result.state = CUBLAS_STATUS_SUCCESS;
  result.wavesCount = 1;
}

/// The GPU cannot read what the host has in ordinary memory.
bool on_device(const void* pointer, int32_t type) {
  const bool aligned = reinterpret_cast<uintptr_t>(pointer) % (is_bf16(type) ? 2 : 4) == 0;
  return pointer != nullptr && aligned && place_of(pointer).kind != MemoryKind::pageable;
}

bool pointers_fit(const Product& product) {
  if (!on_device(product.a, product.a_layout.type) || !on_device(product.b, product.b_layout.type) ||
      !on_device(product.d, product.d_layout.type))
    return false;
  if (product.beta != 0 && !on_device(product.c, product.c_layout.type)) return false;
  if (product.c == product.d && product.c_layout.leading != product.d_layout.leading) return false;
  return product.description.epilogue == CUBLASLT_EPILOGUE_DEFAULT ||
         on_device(product.description.bias, bias_type(product));
}

bool workspace_fits(size_t algorithm, const void* workspace, size_t bytes) {
  const size_t needed = kWorkspaceBytes[algorithm];
  if (bytes < needed || reinterpret_cast<uintptr_t>(workspace) % kWorkspaceAlignment != 0) return false;
  if (needed == 0) return true;
  const MemoryPlace place = place_of(workspace);
  return place.kind != MemoryKind::pageable && place.bytes_left >= bytes;
}

}  // namespace

}  // namespace trireme::emulation

using namespace trireme::emulation;  // NOLINT: below is cuBLASLt's interface

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (device_count() == 0) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasLtContext{current_device()};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "CUBLAS_STATUS_UNKNOWN";
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "the functionality requested is not supported";
    default:
      return cublasLtGetStatusName(status);
  }
}

size_t cublasLtGetVersion() {
  return 130100;
}

size_t cublasLtGetCudartVersion() {
  return CUDART_VERSION;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (preference == nullptr || requested <= 0 || results == nullptr || returned == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  *returned = 0;
  Product product;
  if (const cublasStatus_t wrong = describe(product, description, a, b, c, d); wrong != CUBLAS_STATUS_SUCCESS)
    return wrong;
  const uint64_t allowed = content_of<ProductPreference>(preference).max_workspace_bytes;
  for (size_t i = 0; i < kWorkspaceBytes.size() && *returned < requested; ++i)
    if (kWorkspaceBytes[i] <= allowed) answer(i, results[(*returned)++]);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                       cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t* algorithm,
                                       cublasLtMatmulHeuristicResult_t* result) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (algorithm == nullptr || result == nullptr || !index_of(*algorithm)) return CUBLAS_STATUS_INVALID_VALUE;
  Product product;
  const cublasStatus_t status = describe(product, description, a, b, c, d);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  cublasLtMatmulHeuristicResult_t checked;
  answer(*index_of(*algorithm), checked);
  checked.algo = result->algo;  // never changed
  *result = checked;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  const auto lock = enter();
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  Product product;
  const cublasStatus_t status = describe(product, description, a_layout, b_layout, c_layout, d_layout);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  product.alpha = *static_cast<const float*>(alpha);
  product.beta = *static_cast<const float*>(beta);
  product.a = a;
  product.b = b;
  product.c = c;
  product.d = d;
  product.workspace = static_cast<unsigned char*>(workspace);
  if (algorithm != nullptr && !index_of(*algorithm)) return CUBLAS_STATUS_INVALID_VALUE;
  product.algorithm = algorithm == nullptr ? 0 : *index_of(*algorithm);
  if (!pointers_fit(product) || !workspace_fits(product.algorithm, workspace, workspace_bytes))
    return CUBLAS_STATUS_INVALID_VALUE;
  const cudaError_t queued = enqueue_kernel(stream, [product] { run(product); });
  return queued == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
