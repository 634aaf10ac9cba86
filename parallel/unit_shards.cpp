#include "parallel/unit_shards.h"

#include <string>
#include <utility>

#include "parallel/lane_sums.h"
#include "runtime/error.h"
#include "runtime/ops/elementwise.h"

namespace trireme::parallel {

using runtime::ReduceOp;
using runtime::View;

UnitShards::UnitShards(const std::vector<UnitSpec>& specs, const std::vector<UnitMemory>& units,
                       const UnitMemoryOptions& options, runtime::Stream& stream, MeshGroups& groups)
    : lanes_(options.lanes / groups.dp->size()), stream_(stream), groups_(groups) {
  const int dp = groups.dp->size();
  const std::vector<size_t> buffers = rotation_buffers(specs, options, dp);
  units_.reserve(specs.size());
  for (size_t unit = 0; unit < specs.size(); ++unit) {
    units_.push_back({.memory = units[unit],
                      .partial_over_tp = groups.tp->size() == 1 ? 0 : specs[unit].partial_over_tp,
                      .stage = zero_stage_of(specs[unit], options, dp),
                      .gradient_stage = gradient_stage_of(specs[unit], options, dp),
                      .buffer = buffers[unit],
                      .gather = {},
                      .reduction = {}});
  }
}

void UnitShards::begin_step(int64_t sequences) {
  if (lanes_ == 0) return;
  sequences_of_lane_ = sequences / lanes_;
  for (Unit& unit : units_) unit.sequences = 0;
  if (sequences_of_lane_ > 0 && sequences % lanes_ == 0) return;
  throw runtime::Error(runtime::ErrorKind::usage, "a step of " + std::to_string(sequences) +
                                                      " sequences a rank cannot be cut into its " +
                                                      std::to_string(lanes_) + " lanes of --reproducible");
}

void UnitShards::gather_into_buffer(size_t unit) {
  const Unit& wanted = units_[unit];
  Passing& buffer = parameter_buffers_[wanted.buffer];
  if (buffer.unit == unit) return;
  buffer.pending.wait();  // of a unit that was foreseen, but not read
  buffer.unit = unit;
  buffer.pending = groups_.dp->all_gather(wanted.memory.parameter_part, wanted.memory.parameters);
}

void UnitShards::read(size_t unit, size_t next) {
  Unit& wanted = units_[unit];
  if (wanted.stage == 3) {
    gather_into_buffer(unit);
    parameter_buffers_[wanted.buffer].pending.wait();
  } else {
    wanted.gather.wait();
  }
  if (next == kNone || units_[next].stage < 3) return;
  const bool in_use = wanted.stage == 3 && wanted.buffer == units_[next].buffer;
  if (!in_use) gather_into_buffer(next);
}

void UnitShards::begin_gradients(size_t unit) {
  const Unit& begun = units_[unit];
  if (begun.gradient_stage < 2) return;
  if (partial_sum_.unit != kNone && units_[partial_sum_.unit].gradient_stage >= 2 &&
      units_[partial_sum_.unit].buffer == begun.buffer) {
    reduce_what_waits();
  }
  empty_gradient_buffer(begun.buffer);
  runtime::fill(stream_, begun.memory.gradients, 0);
}

void UnitShards::end_gradients(size_t unit, bool last) {
  reduce_what_waits();
  Unit& ended = units_[unit];
  if (lanes_ > 0) end_sequence(ended);
  if (ended.gradient_stage < 2 && !last) return;
  if (ended.partial_over_tp == 0) {
    start_reduction(unit);
    return;
  }
  partial_sum_.unit = unit;
  partial_sum_.pending =
      groups_.tp->all_reduce(ended.memory.gradients.range(0, {ended.partial_over_tp}), ReduceOp::sum);
}

void UnitShards::end_sequence(Unit& unit) {
  if (++unit.sequences % sequences_of_lane_ != 0) return;
  end_lane(stream_, unit.memory, static_cast<int>(unit.sequences / sequences_of_lane_) - 1, lanes_);
}

void UnitShards::reduce_what_waits() {
  if (partial_sum_.unit == kNone) return;
  partial_sum_.pending.wait();
  start_reduction(std::exchange(partial_sum_.unit, kNone));
}

void UnitShards::start_reduction(size_t unit) {
  Unit& ended = units_[unit];
  const UnitMemory& memory = ended.memory;
  if (groups_.dp->size() == 1) return;
  if (lanes_ > 0) {
    ended.reduction = exchange_sums(*groups_.dp, memory);
  } else if (ended.gradient_stage == 0) {
    ended.reduction = groups_.dp->all_reduce(memory.gradients, ReduceOp::sum);
  } else if (ended.gradient_stage == 1) {
    ended.reduction = groups_.dp->reduce_scatter(memory.gradients, memory.gradient_part, ReduceOp::sum);
  } else {
    const View own = memory.gradients.range(memory.owned.begin, memory.gradient_part.shape);
    gradient_buffers_[ended.buffer].unit = unit;
    gradient_buffers_[ended.buffer].pending = groups_.dp->reduce_scatter(memory.gradients, own, ReduceOp::sum);
  }
}

void UnitShards::empty_gradient_buffer(size_t buffer) {
  Passing& passing = gradient_buffers_[buffer];
  if (passing.unit == kNone) return;
  passing.pending.wait();
  const UnitMemory& memory = units_[std::exchange(passing.unit, kNone)].memory;
  const View own = memory.gradients.range(memory.owned.begin, memory.gradient_part.shape);
  runtime::add(stream_, memory.gradient_part, own, memory.gradient_part);
}

void UnitShards::finish_gradients() {
  reduce_what_waits();
  for (Unit& unit : units_) {
    unit.gather.wait();
    unit.reduction.wait();
  }
  if (lanes_ > 0 && groups_.dp->size() > 1) add_lanes();
  for (const Unit& unit : units_) {
    if (unit.gradient_stage != 1) continue;
    // The update clears the owned part alone, and the others are this rank's addends still.
    const View& gradients = unit.memory.gradients;
    const runtime::ElementRange& owned = unit.memory.owned;
    const int64_t behind = gradients.elements() - owned.end;
    if (owned.begin > 0) runtime::fill(stream_, gradients.range(0, {owned.begin}), 0);
    if (behind > 0) runtime::fill(stream_, gradients.range(owned.end, {behind}), 0);
  }
  for (size_t buffer = 0; buffer < 2; ++buffer) {
    empty_gradient_buffer(buffer);
    parameter_buffers_[buffer].pending.wait();  // else the update would write what is being sent
  }
}

/// Ranks add up what they own; at stage 0 they then tell each other.
void UnitShards::add_lanes() {
  const int rank = groups_.dp->rank();
  const int dp = groups_.dp->size();
  for (Unit& unit : units_) {
    const View& gradients = unit.memory.gradients;
    add_exchanged(stream_, unit.memory, rank, dp);
    if (unit.gradient_stage > 0) continue;
    const int64_t n = gradients.elements() / dp;
    unit.reduction = groups_.dp->all_gather(gradients.range(rank * n, {n}), gradients);
  }
  for (Unit& unit : units_) unit.reduction.wait();
}

void UnitShards::forget_passing() {
  for (Passing& buffer : parameter_buffers_) {
    buffer.pending.wait();
    buffer.unit = kNone;
  }
}

void UnitShards::parameters_changed() {
  forget_passing();
  for (Unit& unit : units_) {
    if ((unit.stage != 1 && unit.stage != 2) || unit.memory.parameters.absent()) continue;
    unit.gather.wait();
    unit.gather = groups_.dp->all_gather(unit.memory.parameter_part, unit.memory.parameters);
  }
}

}  // namespace trireme::parallel
