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

void CostRecord::add(const CostRecord& other) {
  for (const auto& [op, total] : other.by_op_) {
    Total& mine = by_op_[op];
    mine.calls += total.calls;
    mine.flops += total.flops;
    mine.bytes += total.bytes;
    mine.recomputed_flops += total.recomputed_flops;
  }
}

CostRecord CostRecord::since(const CostRecord& before) const {
  CostRecord difference = *this;
  for (const auto& [op, total] : before.by_op_) {
    Total& mine = difference.by_op_[op];
    mine.calls -= total.calls;
    mine.flops -= total.flops;
    mine.bytes -= total.bytes;
    mine.recomputed_flops -= total.recomputed_flops;
  }
  std::erase_if(difference.by_op_, [](const auto& entry) { return entry.second.calls == 0; });
  return difference;
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
