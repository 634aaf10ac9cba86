#include "launch/held_tensors.h"

#include <algorithm>
#include <map>

#include "launch/checkpoint_slices.h"
#include "launch/number_text.h"
#include "parallel/owned_boxes.h"

namespace trireme::launch {

using parallel::Box;

namespace {

std::map<std::string, size_t> numbers_of(const std::vector<NamedTensor>& tensors) {
  std::map<std::string, size_t> numbers;
  for (size_t i = 0; i < tensors.size(); ++i) numbers[tensors[i].name] = i;
  return numbers;
}

/// At ZeRO stage 0 all ranks of dp own the whole, and the first of them counts.
bool counts_over_dp(const model::Unit& unit, const parallel::MeshGroups& groups) {
  const bool is_whole = unit.memory.owned.end - unit.memory.owned.begin == unit.layout.elements;
  return !is_whole || groups.at.dp == 0;
}

}  // namespace

std::vector<NamedTensor> named_tensors(const model::ModelConfig& config) {
  std::vector<NamedTensor> tensors;
  const std::vector<model::UnitDefinition> units = model::define_units(config);
  for (size_t unit = 0; unit < units.size(); ++unit) {
    for (const model::ParameterDefinition& parameter : units[unit].parameters) {
      tensors.push_back({.name = parameter.spec.name, .shape = parameter.spec.global_shape, .unit = unit});
    }
  }
  return tensors;
}

HeldPieces owned_pieces(const model::Trainer& trainer, const std::vector<NamedTensor>& tensors) {
  const std::map<std::string, size_t> numbers = numbers_of(tensors);
  HeldPieces pieces(tensors.size());
  for (size_t index = 0; index < trainer.units.size(); ++index) {
    const model::Unit& unit = trainer.units[index];
    const runtime::ElementRange owned = unit.memory.owned;
    for (const auto& [spec, offset] : unit.layout.parameters) {
      const bool is_record = is_own(unit, spec, trainer.groups.at) && counts_over_dp(unit, trainer.groups);
      for (const parallel::OwnedBox& part :
           parallel::owned_boxes(spec.box, {.begin = owned.begin - offset, .end = owned.end - offset})) {
        pieces[numbers.at(spec.name)].push_back(
            {.unit = index, .box = part.box, .begin = offset + part.offset - owned.begin, .is_record = is_record});
      }
    }
  }
  return pieces;
}

HeldPieces read_pieces(const model::Trainer& trainer, const std::vector<NamedTensor>& tensors) {
  const std::map<std::string, size_t> numbers = numbers_of(tensors);
  HeldPieces pieces(tensors.size());
  for (size_t index = 0; index < trainer.units.size(); ++index) {
    for (const auto& [spec, offset] : trainer.units[index].layout.parameters) {
      pieces[numbers.at(spec.name)].push_back({.unit = index, .box = spec.box, .begin = offset});
    }
  }
  return pieces;
}

std::optional<std::string> partition_flaw(const std::vector<int64_t>& shape, std::vector<Box> boxes) {
  std::erase_if(boxes, [](const Box& box) { return box.elements() == 0; });
  std::ranges::sort(boxes, {}, [](const Box& box) { return std::pair(box.start, box.size); });
  boxes.erase(std::ranges::unique(boxes).begin(), boxes.end());
  int64_t left = parallel::whole(shape).elements();
  for (size_t i = 0; i < boxes.size(); ++i) {
    left -= boxes[i].elements();
    for (size_t j = 0; j < i; ++j) {
      if (!parallel::intersect(boxes[i], boxes[j])) continue;
      return parallel::to_string(boxes[j]) + " and " + parallel::to_string(boxes[i]) + " overlap";
    }
  }
  if (left == 0) return std::nullopt;
  return counted(left, "element") + (left == 1 ? " is" : " are") + " held by no rank";
}

}  // namespace trireme::launch
