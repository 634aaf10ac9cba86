#include "runtime/cuda/linear_plans.cuh"

#include "runtime/cuda/error.cuh"
#include "runtime/cuda/product_tuning.cuh"
#include "runtime/log.h"
#include "runtime/ops/column_sums_cuda.cuh"
#include "runtime/ops/linear_cuda.h"

namespace trireme::runtime::cuda {
namespace {

std::string name_of_gpu(int device) {
  cudaDeviceProp properties;
  TRIREME_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

bool is_optional(ProductKind kind) {
  return kind == ProductKind::forward_bias || kind == ProductKind::backward_weight_bias;
}

}  // namespace

LinearPlans::LinearPlans(Files& files, const std::string& cache_directory, int device)
    : cache_(files, cache_directory, name_of_gpu(device), LtHandle::version()) {}

const LinearPlan& LinearPlans::plan(CudaQueue& queue, const ProductKey& key, const LinearScratch& scratch) {
  LinearPlan& plan = plans_[key];
  if (!plan.is_final && (!plan.product || !queue.is_recording())) choose(queue, key, scratch, plan);
  if (!plan.choice && !is_optional(key.kind)) {
    throw Error(ErrorKind::device, "cuBLASLt has no algorithm for " + to_string(key));
  }
  return plan;
}

void LinearPlans::choose(CudaQueue& queue, const ProductKey& key, const LinearScratch& scratch, LinearPlan& plan) {
  if (!plan.product) plan.product = std::make_unique<const LtProduct>(handle_, key, kLinearWorkspaceBytes);
  const LtProduct& product = *plan.product;
  const std::string text = to_string(key);
  const std::optional<ProductChoice> known = cache_.find(text);
  if (known && product.accepts(known->algorithm)) {
    plan.choice = known;
    plan.is_final = true;
    return;
  }
  if (known) cache_.refuse(text);
  if (queue.is_recording()) {
    plan.choice = first_choice(product);
    return;
  }
  plan.is_final = true;
  const std::optional<ProductChoice> timed = timed_choice(queue, key, scratch, product);
  if (!timed) {  // kept all the same: a later run with more memory is to have the same bits
    plan.choice = first_choice(product);
    if (plan.choice) plan.choice = cache_.keep(text, *plan.choice);
    log_warning("no memory was left on the GPU to time " + text +
                ": it uses the first algorithm of cuBLASLt, from now on");
    return;
  }
  const ProductChoice kept = cache_.keep(text, *timed);
  plan.choice = product.accepts(kept.algorithm) ? kept : *timed;
}

/// The fastest algorithm, and for a product with a bias gradient, whether it beats the product without one and column
/// sums after it. Nothing where the GPU has no memory for operands to time with, or no algorithm runs.
std::optional<ProductChoice> LinearPlans::timed_choice(CudaQueue& queue, const ProductKey& key,
                                                       const LinearScratch& scratch, const LtProduct& product) {
  if (product.candidates().empty()) return std::nullopt;
  double apart = 0;
  if (key.kind == ProductKind::backward_weight_bias) {  // first, so that its operands are gone before ours are made
    ProductKey without = key;
    without.kind = ProductKind::backward_weight;
    apart = plan(queue, without, scratch).choice->microseconds;
    if (apart == 0) return std::nullopt;  // it was not timed either
  }
  std::optional<TuningOperands> own;
  try {
    own.emplace(queue, key);
  } catch (const Error&) {
    cudaGetLastError();  // the failure is dealt with: no later check may find it
    return std::nullopt;
  }
  ProductOperands operands = own->operands();
  if (key.kind == ProductKind::backward_weight_bias) operands.bias = scratch.sums;
  const std::optional<TimedAlgorithm> fastest = fastest_algorithm(queue, product, operands, scratch.workspace);
  if (!fastest) return std::nullopt;
  ProductChoice choice{.algorithm = fastest->algorithm, .microseconds = fastest->microseconds};
  if (key.kind == ProductKind::backward_weight_bias) {
    auto* sums = static_cast<float*>(const_cast<void*>(own->operands().bias));
    const ConstView dy{{operands.left, key.storage, {key.N, key.C_out}}};
    const double together =
        fastest->microseconds + microseconds_of(queue, [&] { add_to_sums(queue, scratch.sums, sums, key.C_out); });
    apart += microseconds_of(queue, [&] { add_column_sums(queue, dy, sums, static_cast<float*>(scratch.workspace)); });
    choice.bias_gradient = together < apart ? BiasGradient::product : BiasGradient::columns;
  }
  return choice;
}

std::optional<ProductChoice> LinearPlans::first_choice(const LtProduct& product) const {
  for (const ProductAlgorithm& algorithm : product.candidates()) {
    if (product.accepts(algorithm)) return ProductChoice{.algorithm = algorithm};
  }
  return std::nullopt;
}

LinearPlans& linear_plans(CudaQueue& queue) {
  if (!queue.linear_plans) {
    queue.linear_plans = std::make_shared<LinearPlans>(real_files(), cache_directory(), queue.device());
  }
  return *queue.linear_plans;
}

}  // namespace trireme::runtime::cuda
