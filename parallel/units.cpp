#include "parallel/units.h"

#include <algorithm>
#include <cassert>

namespace trireme::parallel {
namespace {

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

ParameterSpec divide(const ParameterSpec& spec, int index, int parts) {
  ParameterSpec part = spec;
  if (spec.division != Division::rows && spec.division != Division::columns) return part;
  const size_t axis = spec.division == Division::rows ? 0 : 1;
  part.box.size[axis] = spec.global_shape[axis] / parts;
  part.box.start[axis] = index * part.box.size[axis];
  return part;
}

ParameterSpec divide_vocabulary(const ParameterSpec& spec, int index, int parts, int64_t row_multiple) {
  const int64_t V = spec.global_shape[0];
  const int64_t rows = round_up((V + parts - 1) / parts, row_multiple);
  ParameterSpec part = spec;
  part.box.start[0] = std::min(V, index * rows);
  part.box.size[0] = std::min(V, (index + 1) * rows) - part.box.start[0];
  part.padding = (rows - part.box.size[0]) * spec.global_shape[1];
  return part;
}

UnitLayout lay_out_unit(const std::string& name, const std::vector<ParameterSpec>& specs, int64_t dp) {
  UnitLayout unit{.name = name};
  for (const ParameterSpec& spec : specs) {
    if (!spec.fused_with_previous) unit.elements = round_up(unit.elements, kAlignmentElements);
    const int64_t begin = unit.elements;
    unit.parameters.push_back({spec, begin});
    unit.elements += spec.box.elements() + spec.padding;
    if (spec.division == Division::by_tokens) {
      assert(begin == 0 || unit.by_tokens_elements == unit.replicated_elements);
      unit.by_tokens_elements = unit.replicated_elements = unit.elements;
    } else if (spec.division == Division::replicated) {
      assert(begin - unit.replicated_elements < kAlignmentElements);
      unit.replicated_elements = unit.elements;
    }
  }
  unit.elements = round_up(unit.elements, dp * kAlignmentElements);
  return unit;
}

}  // namespace trireme::parallel
