#include "runtime/op_cost.h"

namespace trireme::runtime {

void CostRecord::add(const OpCost& cost) {
  auto found = by_op_.find(cost.op);
  if (found == by_op_.end()) found = by_op_.emplace(std::string(cost.op), Total{}).first;
  Total& total = found->second;
  total.calls += 1;
  total.flops += cost.flops;
  total.bytes += cost.bytes;
  total.recomputed_flops += cost.recomputed_flops;
}

CostRecord::Total CostRecord::sum() const {
  Total sum;
  for (const auto& [op, total] : by_op_) {
    sum.calls += total.calls;
    sum.flops += total.flops;
    sum.bytes += total.bytes;
    sum.recomputed_flops += total.recomputed_flops;
  }
  return sum;
}

}  // namespace trireme::runtime
