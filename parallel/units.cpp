#include "parallel/units.h"

namespace trireme::parallel {
namespace {

constexpr int64_t kAlignmentElements = 64;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

UnitLayout lay_out_unit(const std::string& name, const std::vector<ParameterSpec>& specs, int64_t dp) {
  UnitLayout unit{.name = name, .parameters = {}, .elements = 0};
  for (const ParameterSpec& spec : specs) {
    if (!spec.fused_with_previous) unit.elements = round_up(unit.elements, kAlignmentElements);
    unit.parameters.push_back({spec, unit.elements});
    unit.elements += spec.box.elements() + spec.padding;
  }
  unit.elements = round_up(unit.elements, dp * kAlignmentElements);
  return unit;
}

}  // namespace trireme::parallel
