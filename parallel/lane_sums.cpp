#include "parallel/lane_sums.h"

#include <bit>

#include "runtime/ops/elementwise.h"

namespace trireme::parallel {

using runtime::View;

void end_lane(runtime::Stream& stream, const UnitMemory& unit, int lane, int lanes) {
  const auto levels = static_cast<size_t>(std::countr_one(static_cast<unsigned>(lane)));
  for (size_t level = 0; level < levels; ++level) {
    runtime::add(stream, unit.lane_sums[level], unit.gradients, unit.gradients);
  }
  if (lane + 1 == lanes) return;
  runtime::cast(stream, unit.gradients, unit.lane_sums[levels]);
  runtime::fill(stream, unit.gradients, 0);
}

runtime::Pending exchange_sums(runtime::Communicator& dp, const UnitMemory& unit) {
  return dp.all_to_all(unit.gradients, unit.lane_sums.front());
}

void add_exchanged(runtime::Stream& stream, const UnitMemory& unit, int rank, int dp) {
  const int64_t n = unit.gradients.elements() / dp;
  const auto from = [&](int sender) { return unit.lane_sums.front().range(sender * n, {n}); };
  for (int ranks = 1; 2 * ranks < dp; ranks *= 2) {
    for (int first = 0; first < dp; first += 2 * ranks) {
      runtime::add(stream, from(first), from(first + ranks), from(first));
    }
  }
  runtime::add(stream, from(0), from(dp / 2), unit.gradients.range(rank * n, {n}));
}

}  // namespace trireme::parallel
