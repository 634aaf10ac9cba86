// Which algorithm of a matrix product is fastest here: each is run on operands of its own and timed by events. Costs up
// to a second for the largest products, once a shape, and device memory for the time of it.
#pragma once

#include <functional>
#include <optional>

#include "runtime/arena.h"
#include "runtime/cuda/lt_product.cuh"
#include "runtime/cuda/queue.cuh"

namespace trireme::runtime::cuda {

/// Operands of a product in device memory of their own: factors random (a GPU computes with zeros faster), the result
/// and the bias too. Aligned no better than the key says, so that what is timed is what will run.
class TuningOperands {
 public:
  /// Throws Error(device) where the GPU has no memory left for them.
  TuningOperands(CudaQueue& queue, const ProductKey& key);
  /// Waits for the queue.
  ~TuningOperands();
  TuningOperands(const TuningOperands&) = delete;
  TuningOperands& operator=(const TuningOperands&) = delete;
  const ProductOperands& operands() const { return operands_; }

 private:
  CudaQueue& queue_;
  DeviceMemory memory_;
  ProductOperands operands_{};
};

/// Device time of one call of `action`, which queues work: the mean of a few, after one that is not counted.
double microseconds_of(CudaQueue& queue, const std::function<void()>& action);

struct TimedAlgorithm {
  ProductAlgorithm algorithm;
  double microseconds;
};
/// Of all that cuBLASLt offers for `product`; nothing where none of them runs.
std::optional<TimedAlgorithm> fastest_algorithm(CudaQueue& queue, const LtProduct& product,
                                                const ProductOperands& operands, void* workspace);

}  // namespace trireme::runtime::cuda
