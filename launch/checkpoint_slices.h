// The border between units in memory and checkpoints on disk: units become (name, kind, box, view).
#pragma once

#include <vector>

#include "checkpoint/tensor_slice.h"
#include "model/train_step.h"

namespace trireme::launch {

/// Parameters alone, for evaluate and generate.
std::vector<checkpoint::TensorSlice> parameter_slices(const model::Trainer& trainer);

/// Parameters and both moments.
std::vector<checkpoint::TensorSlice> training_slices(const model::Trainer& trainer);

/// Of replicas that all `ranks` ranks of dp hold, those that `rank` writes: dealt out largest first to the rank with
/// the fewest bytes.
std::vector<checkpoint::TensorSlice> owned_slices(const std::vector<checkpoint::TensorSlice>& replicas, int rank,
                                                  int ranks);

}  // namespace trireme::launch
