// The border between units in memory and checkpoints on disk: the ranges of units that a rank owns become (name, kind,
// box, view), whatever the layout, and each element of the model is saved by one rank.
#pragma once

#include <cstddef>
#include <vector>

#include "checkpoint/tensor_slice.h"
#include "model/parameters.h"
#include "parallel/mesh.h"

namespace trireme::launch {

/// Whether the rank at `at` counts, of those of tp and pp that hold equal parts of this parameter: of a tied table the
/// first stage, of what all ranks of tp hold the first of them.
bool is_own(const model::Unit& unit, const parallel::ParameterSpec& spec, const parallel::MeshCoordinates& at);

/// What this rank owns: ranges of its units as boxes of named tensors, all of which it loads.
struct RankSlices {
  std::vector<checkpoint::TensorSlice> slices;
  /// Indices of those that no other rank of tp or pp holds too, or that this one saves for them. At ZeRO stage 0 the
  /// ranks of dp hold equal ones, which written_slices() deals out.
  std::vector<size_t> own;
};

enum class Contents {
  parameters,  ///< alone, for evaluate and generate
  training,    ///< and both moments
};

RankSlices rank_slices(const std::vector<model::Unit>& units, Contents contents, const parallel::MeshCoordinates& at);

/// Indices of the slices that the rank at `at` saves. `zero_stage` is that of the run.
std::vector<size_t> written_slices(const RankSlices& held, const parallel::Mesh& mesh,
                                   const parallel::MeshCoordinates& at, int zero_stage);

}  // namespace trireme::launch
