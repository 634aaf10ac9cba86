#include "launch/checkpoint_slices.h"

#include <algorithm>
#include <numeric>

namespace trireme::launch {

using checkpoint::TensorSlice;

namespace {

void append(std::vector<TensorSlice>& slices, const model::Unit& unit, const std::string& kind,
            const runtime::View& range) {
  for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
    const parallel::ParameterSpec& spec = unit.layout.parameters[i].spec;
    slices.push_back({.name = spec.name,
                      .kind = kind,
                      .global_shape = spec.global_shape,
                      .box = spec.box,
                      .data = unit.part(range, i)});
  }
}

}  // namespace

std::vector<TensorSlice> parameter_slices(const model::Trainer& trainer) {
  std::vector<TensorSlice> slices;
  for (const model::Unit& unit : trainer.units) append(slices, unit, "parameter", unit.masters);
  return slices;
}

std::vector<TensorSlice> training_slices(const model::Trainer& trainer) {
  std::vector<TensorSlice> slices = parameter_slices(trainer);
  for (const model::Unit& unit : trainer.units) {
    append(slices, unit, "exp_avg", unit.exp_avg);
    append(slices, unit, "exp_avg_sq", unit.exp_avg_sq);
  }
  return slices;
}

std::vector<TensorSlice> owned_slices(const std::vector<TensorSlice>& replicas, int rank, int ranks) {
  std::vector<size_t> order(replicas.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater(), [&](size_t i) { return replicas[i].data.bytes(); });
  std::vector<int64_t> load(static_cast<size_t>(ranks), 0);
  std::vector<size_t> mine;
  for (size_t i : order) {
    const auto lightest = std::ranges::min_element(load);
    *lightest += replicas[i].data.bytes();
    if (lightest - load.begin() == rank) mine.push_back(i);
  }
  std::ranges::sort(mine);
  std::vector<TensorSlice> owned;
  for (size_t i : mine) owned.push_back(replicas[i]);
  return owned;
}

}  // namespace trireme::launch
