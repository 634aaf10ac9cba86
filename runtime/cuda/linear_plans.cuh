// The products of a queue's linear layers: descriptors made once a shape, each with the algorithm that was fastest
// here. The choice is made at the first call of a shape outside of recordings, or comes from disk; inside a recording a
// shape that is new takes what cuBLASLt expects to be fastest, until a call outside of one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "runtime/cuda/lt_product.cuh"
#include "runtime/cuda/product_cache.h"
#include "runtime/cuda/queue.cuh"

namespace trireme::runtime::cuda {

struct LinearPlan {
  std::unique_ptr<const LtProduct> product;
  /// Nothing where cuBLASLt cannot compute this product.
  std::optional<ProductChoice> choice;
  bool is_final = false;

  void run(CudaQueue& queue, const ProductOperands& operands, void* workspace) const {
    product->run(queue.stream(), operands, choice->algorithm, workspace);
  }
};

/// What products and the sums beside them work in, of a call's scratch; nothing of it is kept from call to call.
struct LinearScratch {
  void* workspace;  ///< kLinearWorkspaceBytes, for cuBLASLt or for add_column_sums
  float* sums;      ///< (C_out), of a call with a bias gradient
};

class LinearPlans {
 public:
  /// Throws Error(device) when cuBLASLt cannot start.
  LinearPlans(Files& files, const std::string& cache_directory, int device);

  /// The plan of `key`, chosen with the help of `scratch` where it is new. Waits for the queue then. The optional
  /// products (forward_bias, backward_weight_bias) may be without a choice; for others that is Error(device).
  const LinearPlan& plan(CudaQueue& queue, const ProductKey& key, const LinearScratch& scratch);

 private:
  void choose(CudaQueue& queue, const ProductKey& key, const LinearScratch& scratch, LinearPlan& plan);
  std::optional<ProductChoice> timed_choice(CudaQueue& queue, const ProductKey& key, const LinearScratch& scratch,
                                            const LtProduct& product);
  std::optional<ProductChoice> first_choice(const LtProduct& product) const;

  LtHandle handle_;
  ProductCache cache_;
  std::map<ProductKey, LinearPlan> plans_;
};

/// Those of the queue, made at its first product.
LinearPlans& linear_plans(CudaQueue& queue);

}  // namespace trireme::runtime::cuda
