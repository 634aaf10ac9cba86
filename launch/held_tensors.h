// Which parts of which parameters a rank holds, for whoever goes through a model parameter by parameter over all ranks:
// what a rank owns under ZeRO, and what its layers read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/trainer.h"
#include "parallel/box.h"

namespace trireme::launch {

struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  size_t unit = 0;  ///< among the model's units

  int64_t elements() const { return parallel::whole(shape).elements(); }
};

/// All parameters in the order of the model's definition.
std::vector<NamedTensor> named_tensors(const model::ModelConfig& config);

/// A contiguous part of a parameter on a rank.
struct HeldPiece {
  size_t unit = 0;  ///< among those of the rank
  parallel::Box box;
  int64_t begin = 0;      ///< of its first element: in the unit's owned range, or in the whole unit
  bool is_record = true;  ///< one rank's alone, of all that hold the same
};

/// By number of the tensor.
using HeldPieces = std::vector<std::vector<HeldPiece>>;

/// Boxes of the owned ranges: masters, moments and gradient parts.
HeldPieces owned_pieces(const model::Trainer& trainer, const std::vector<NamedTensor>& tensors);
/// What layers read, or would after UnitShards::read().
HeldPieces read_pieces(const model::Trainer& trainer, const std::vector<NamedTensor>& tensors);

/// What is wrong where the boxes, several times the same ones allowed, are no partition of the tensor: "[0:4, 2:3] and
/// [0:4, 2:4] overlap", or how many elements nobody holds.
std::optional<std::string> partition_flaw(const std::vector<int64_t>& shape, std::vector<parallel::Box> boxes);

}  // namespace trireme::launch
