#include "runtime/stream.h"

namespace trireme::runtime {

std::string_view name(Device device) {
  return device == Device::cpu ? "cpu" : "dry";
}

void CostRecord::add(const OpCost& cost) {
  auto found = by_op_.find(cost.op);
  if (found == by_op_.end()) found = by_op_.emplace(std::string(cost.op), Total{}).first;
  Total& total = found->second;
  total.calls += 1;
  total.flops += cost.flops;
  total.bytes += cost.bytes;
}

CostRecord::Total CostRecord::sum() const {
  Total sum;
  for (const auto& [op, total] : by_op_) {
    sum.calls += total.calls;
    sum.flops += total.flops;
    sum.bytes += total.bytes;
  }
  return sum;
}

}  // namespace trireme::runtime
