#include "parallel/unit_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "parallel/units.h"
#include "runtime/error.h"
#include "runtime/ops/exact_sum.h"

namespace trireme::parallel {
namespace {

using runtime::DType;
using runtime::ElementRange;
using runtime::View;

// Sums of squares go by blocks, of which no rank may have a part.
static_assert(kAlignmentElements % runtime::kSquaresBlock == 0);

View part_of(const View& whole, const ElementRange& range) {
  return whole.range(range.begin, {range.end - range.begin});
}

/// What rotating units pass through; absent where none does.
struct PassingBuffers {
  std::array<View, 2> parameters;
  std::array<View, 2> gradients;
};

PassingBuffers place_buffers(const std::vector<UnitSpec>& specs, const UnitMemoryOptions& options, int dp,
                             runtime::Arena& persistent) {
  const std::vector<size_t> buffers = rotation_buffers(specs, options, dp);
  std::array<int64_t, 2> gradient_elements{};
  std::array<int64_t, 2> parameter_elements{};
  for (size_t unit = 0; unit < specs.size(); ++unit) {
    const auto lengthen = [&](int64_t& elements) { elements = std::max(elements, specs[unit].elements); };
    if (gradient_stage_of(specs[unit], options, dp) >= 2) lengthen(gradient_elements[buffers[unit]]);
    if (zero_stage_of(specs[unit], options, dp) == 3) lengthen(parameter_elements[buffers[unit]]);
  }
  PassingBuffers placed;
  for (size_t buffer = 0; buffer < 2; ++buffer) {
    if (parameter_elements[buffer] > 0) {
      placed.parameters[buffer] = persistent.allocate(options.storage, {parameter_elements[buffer]});
    }
    if (gradient_elements[buffer] > 0) {
      placed.gradients[buffer] = persistent.allocate(DType::fp32, {gradient_elements[buffer]});
    }
  }
  return placed;
}

void check_lanes(int lanes, int dp) {
  if (lanes == 0 || (std::has_single_bit(static_cast<unsigned>(lanes)) && lanes % dp == 0)) return;
  throw runtime::Error(runtime::ErrorKind::usage, "--reproducible=" + std::to_string(lanes) +
                                                      ": lanes are a power of two that the " + std::to_string(dp) +
                                                      " ranks of data parallelism divide");
}

/// Where units are placed, and by which rules.
struct Placement {
  const UnitMemoryOptions& options;
  int dp;
  runtime::Arena& persistent;
};

/// Parameters, masters and moments of a unit; `passing` is the buffer of stage 3.
void place_parameters(const UnitSpec& spec, const View& passing, const Placement& placement, UnitMemory& unit) {
  const auto& [options, dp, persistent] = placement;
  const int64_t n_owned = unit.owned.end - unit.owned.begin;
  if (zero_stage_of(spec, options, dp) == 3) {
    unit.parameters = passing.range(0, {spec.elements});
    unit.parameter_part = persistent.allocate(options.storage, {n_owned});
  } else {
    unit.parameters = persistent.allocate(options.storage, {spec.elements});
    unit.parameter_part = part_of(unit.parameters, unit.owned);
  }
  unit.masters = unit.has_own_masters() ? persistent.allocate(DType::fp32, {n_owned}) : unit.parameter_part;
  if (!options.training) return;
  unit.exp_avg = persistent.allocate(DType::fp32, {n_owned});
  unit.exp_avg_sq = persistent.allocate(DType::fp32, {n_owned});
}

/// Gradients of a unit; `passing` is the buffer of stages 2 and 3.
void place_gradients(const UnitSpec& spec, const View& passing, const Placement& placement, UnitMemory& unit) {
  const auto& [options, dp, persistent] = placement;
  if (gradient_stage_of(spec, options, dp) >= 2) {
    unit.gradients = passing.range(0, {spec.elements});
    unit.gradient_part = persistent.allocate(DType::fp32, {unit.owned.end - unit.owned.begin});
    return;
  }
  unit.gradients = persistent.allocate(DType::fp32, {spec.elements});
  unit.gradient_part = part_of(unit.gradients, unit.owned);
  for (int i = 0; i < lane_buffers(options.lanes, dp); ++i) {
    unit.lane_sums.push_back(persistent.allocate(DType::fp32, {spec.elements}));
  }
}

}  // namespace

int zero_stage_of(const UnitSpec& spec, const UnitMemoryOptions& options, int dp) {
  if (!options.training || dp == 1) return 0;
  return spec.rotates ? options.zero_stage : std::min(options.zero_stage, 1);
}

int gradient_stage_of(const UnitSpec& spec, const UnitMemoryOptions& options, int dp) {
  const int stage = zero_stage_of(spec, options, dp);
  return options.lanes > 0 ? std::min(stage, 1) : stage;
}

int lane_buffers(int lanes, int dp) {
  if (lanes == 0) return 0;
  const int levels = std::countr_zero(static_cast<unsigned>(lanes / dp));
  return std::max(levels, dp > 1 ? 1 : 0);
}

ElementRange owned_range(int64_t elements, int zero_stage, int rank, int dp) {
  if (zero_stage == 0) return {.begin = 0, .end = elements};
  return {.begin = elements / dp * rank, .end = elements / dp * (rank + 1)};
}

std::vector<size_t> rotation_buffers(const std::vector<UnitSpec>& specs, const UnitMemoryOptions& options, int dp) {
  std::vector<size_t> buffers(specs.size(), 0);
  size_t rotating = 0;
  for (size_t unit = 0; unit < specs.size(); ++unit) {
    if (zero_stage_of(specs[unit], options, dp) >= 2) buffers[unit] = rotating++ % 2;
  }
  return buffers;
}

std::vector<UnitMemory> place_units(const std::vector<UnitSpec>& specs, const UnitMemoryOptions& options, int rank,
                                    int dp, runtime::Arena& persistent) {
  check_lanes(options.lanes, dp);
  const std::vector<size_t> buffers = rotation_buffers(specs, options, dp);
  const PassingBuffers passing = place_buffers(specs, options, dp, persistent);
  const Placement placement{.options = options, .dp = dp, .persistent = persistent};
  std::vector<UnitMemory> units;
  for (size_t number = 0; number < specs.size(); ++number) {
    const int64_t n = specs[number].elements;
    if (n % (dp * kAlignmentElements) != 0) {
      throw runtime::Error(
          runtime::ErrorKind::internal,
          "a unit of " + std::to_string(n) + " elements is no multiple of " + std::to_string(dp) + " * 64");
    }
    const size_t buffer = buffers[number];
    UnitMemory unit{.owned = owned_range(n, zero_stage_of(specs[number], options, dp), rank, dp)};
    if (!specs[number].gradients_only) place_parameters(specs[number], passing.parameters[buffer], placement, unit);
    if (options.training) place_gradients(specs[number], passing.gradients[buffer], placement, unit);
    units.push_back(unit);
  }
  return units;
}

}  // namespace trireme::parallel
