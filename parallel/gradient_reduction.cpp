#include "parallel/gradient_reduction.h"

namespace trireme::parallel {

GradientReduction::GradientReduction(runtime::Communicator& dp, int64_t units) : dp_(dp) {
  pending_.reserve(static_cast<size_t>(units));
}

void GradientReduction::start(runtime::View gradients) {
  if (dp_.size() == 1) return;
  pending_.push_back(dp_.all_reduce(gradients, runtime::ReduceOp::sum));
}

void GradientReduction::finish() {
  for (runtime::Pending& pending : pending_) pending.wait();
  pending_.clear();
}

}  // namespace trireme::parallel
