// One matrix product of cuBLASLt: its descriptors, the algorithms that can compute it, and running one. The only file
// that speaks cuBLASLt's language of columns; it does not know how an algorithm is chosen.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/cuda/product_key.h"
#include "runtime/view.h"

namespace trireme::runtime::cuda {

/// The handle of cuBLASLt on one GPU.
class LtHandle {
 public:
  /// Throws Error(device) where there is no GPU.
  LtHandle();
  ~LtHandle();
  LtHandle(const LtHandle&) = delete;
  LtHandle& operator=(const LtHandle&) = delete;
  cublasLtHandle_t get() const { return handle_; }
  /// 130100 for 13.1.0.
  static int64_t version();

 private:
  cublasLtHandle_t handle_ = nullptr;
};

/// In the names of the layer: `left` has N rows (x or dy), `right` is the other factor (w, or x for a weight gradient).
struct ProductOperands {
  const void* left;
  const void* right;
  void* result;
  /// Read by forward_bias (C_out, storage dtype), written by backward_weight_bias (C_out, fp32).
  const void* bias = nullptr;
};

/// Dtypes and numbers of elements of the operands.
struct ProductSizes {
  DType factors;
  DType result;
  DType bias;
  int64_t left;
  int64_t right;
  int64_t result_elements;
  int64_t bias_elements;
};
ProductSizes sizes_of(const ProductKey& key);

class LtProduct {
 public:
  static constexpr int kMostCandidates = 32;

  /// `handle` outlives this. Algorithms may use up to `workspace_bytes`.
  LtProduct(const LtHandle& handle, const ProductKey& key, int64_t workspace_bytes);
  ~LtProduct();
  LtProduct(const LtProduct&) = delete;
  LtProduct& operator=(const LtProduct&) = delete;

  const ProductKey& key() const { return key_; }
  /// At most kMostCandidates, what cuBLASLt expects to be fastest first; empty where it cannot compute this product.
  std::vector<ProductAlgorithm> candidates() const;
  /// True when cuBLASLt says that it can compute this product by `algorithm` within the workspace.
  bool accepts(const ProductAlgorithm& algorithm) const;

  /// Queues the product; `workspace` is 256-byte aligned. False, and nothing queued, when cuBLASLt refuses.
  bool try_run(cudaStream_t stream, const ProductOperands& operands, const ProductAlgorithm& algorithm,
               void* workspace) const;
  /// The same; throws Error(device) when cuBLASLt refuses.
  void run(cudaStream_t stream, const ProductOperands& operands, const ProductAlgorithm& algorithm,
           void* workspace) const;

 private:
  cublasStatus_t queue_product(cudaStream_t stream, const ProductOperands& operands, const ProductAlgorithm& algorithm,
                               void* workspace) const;
  void set_bias(const void* bias) const;
  bool has_bias() const {
    return key_.kind == ProductKind::forward_bias || key_.kind == ProductKind::backward_weight_bias;
  }

  cublasLtHandle_t handle_;
  ProductKey key_;
  int64_t workspace_bytes_;
  float beta_;
  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr;
  cublasLtMatrixLayout_t b_ = nullptr;
  cublasLtMatrixLayout_t result_ = nullptr;
};

}  // namespace trireme::runtime::cuda
