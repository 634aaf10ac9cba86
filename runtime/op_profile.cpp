#include "runtime/op_profile.h"

#include <algorithm>

namespace trireme::runtime {

void OpProfile::add(const OpCost& cost, double seconds) {
  auto row =
      std::ranges::find_if(rows_, [&](const Row& known) { return known.op == cost.op && known.sizes == cost.sizes; });
  if (row == rows_.end()) row = rows_.insert(row, Row{.op = std::string(cost.op), .sizes = cost.sizes});
  row->calls += 1;
  row->flops += cost.flops;
  row->bytes += cost.bytes;
  row->recomputed_flops += cost.recomputed_flops;
  row->seconds += seconds;
}

}  // namespace trireme::runtime
