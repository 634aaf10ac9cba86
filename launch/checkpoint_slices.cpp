#include "launch/checkpoint_slices.h"

#include <algorithm>
#include <span>
#include <string>

#include "parallel/owned_boxes.h"

namespace trireme::launch {

using checkpoint::TensorSlice;

namespace {

/// `range` holds the owned part of the unit.
void append(RankSlices& held, const model::Unit& unit, const std::string& kind, const runtime::View& range,
            const parallel::MeshCoordinates& at) {
  const runtime::ElementRange owned = unit.memory.owned;
  for (const auto& [spec, offset] : unit.layout.parameters) {
    for (const parallel::OwnedBox& part :
         parallel::owned_boxes(spec.box, {.begin = owned.begin - offset, .end = owned.end - offset})) {
      if (is_own(unit, spec, at)) held.own.push_back(held.slices.size());
      const runtime::Shape shape{std::span<const int64_t>(part.box.size)};
      held.slices.push_back({.name = spec.name,
                             .kind = kind,
                             .global_shape = spec.global_shape,
                             .box = part.box,
                             .data = range.range(offset + part.offset - owned.begin, shape)});
    }
  }
}

}  // namespace

/// A rank that holds the whole of a cut tensor has no others to count for: their boxes are empty.
bool is_own(const model::Unit& unit, const parallel::ParameterSpec& spec, const parallel::MeshCoordinates& at) {
  return !unit.is_copy && (at.tp == 0 || spec.box != parallel::whole(spec.global_shape));
}

RankSlices rank_slices(const std::vector<model::Unit>& units, Contents contents, const parallel::MeshCoordinates& at) {
  RankSlices held;
  for (const model::Unit& unit : units) append(held, unit, "parameter", unit.memory.masters, at);
  if (contents == Contents::parameters) return held;
  for (const model::Unit& unit : units) {
    append(held, unit, "exp_avg", unit.memory.exp_avg, at);
    append(held, unit, "exp_avg_sq", unit.memory.exp_avg_sq, at);
  }
  return held;
}

/// Replicas are dealt out largest first to the rank with the fewest bytes.
std::vector<size_t> written_slices(const RankSlices& held, const parallel::Mesh& mesh,
                                   const parallel::MeshCoordinates& at, int zero_stage) {
  if (zero_stage > 0 || mesh.dp == 1) return held.own;
  std::vector<size_t> order = held.own;
  std::ranges::stable_sort(order, std::ranges::greater(), [&](size_t i) { return held.slices[i].data.bytes(); });
  std::vector<int64_t> load(static_cast<size_t>(mesh.dp), 0);
  std::vector<size_t> mine;
  for (size_t i : order) {
    const auto lightest = std::ranges::min_element(load);
    *lightest += held.slices[i].data.bytes();
    if (lightest - load.begin() == at.dp) mine.push_back(i);
  }
  std::ranges::sort(mine);
  return mine;
}

}  // namespace trireme::launch
