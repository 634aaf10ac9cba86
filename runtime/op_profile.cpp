#include "runtime/op_profile.h"

#include <algorithm>

namespace trireme::runtime {

OpProfile::Row& OpProfile::row_of(std::string_view op, const Shape& sizes) {
  auto row = std::ranges::find_if(rows_, [&](const Row& known) { return known.op == op && known.sizes == sizes; });
  if (row == rows_.end()) row = rows_.insert(row, Row{.op = std::string(op), .sizes = sizes});
  return *row;
}

void OpProfile::add(const OpCost& cost, double seconds) {
  Row& row = row_of(cost.op, cost.sizes);
  row.calls += 1;
  row.flops += cost.flops;
  row.bytes += cost.bytes;
  row.recomputed_flops += cost.recomputed_flops;
  row.seconds += seconds;
}

void OpProfile::add(const OpProfile& other, int64_t times) {
  for (const Row& added : other.rows_) {
    Row& row = row_of(added.op, added.sizes);
    row.calls += times * added.calls;
    row.flops += times * added.flops;
    row.bytes += times * added.bytes;
    row.recomputed_flops += times * added.recomputed_flops;
    row.seconds += static_cast<double>(times) * added.seconds;
  }
}

}  // namespace trireme::runtime
