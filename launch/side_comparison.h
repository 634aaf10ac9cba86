// Holds a layout against its reference, parameter by parameter, over all ranks. The reference's values of some rows at
// a time come to every rank, each compares what it holds itself, and only sums travel back: no rank holds a whole
// gradient beside its own. It says how far things are apart and judges nothing (verify_judge.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/held_tensors.h"
#include "launch/tensor_difference.h"
#include "launch/verify_side.h"
#include "runtime/communicator.h"

namespace trireme::launch {

/// One tensor: how large it is in the reference, and how far what each rank holds is from that.
struct TensorComparison {
  Extent size;
  std::vector<Extent> ranks;
};
/// By number of the tensor.
using TensorComparisons = std::vector<TensorComparison>;

/// Of the initial weights.
struct StartComparison {
  TensorComparisons weights;
  TensorComparisons copies;  ///< what layers read beside its owner's masters, rounded to storage
};

/// After an update.
struct StateComparison {
  TensorComparisons exp_avg;
  TensorComparisons exp_avg_sq;
  TensorComparisons update;  ///< largest unexplained_update(); the rest of the extents has no meaning
  TensorComparisons copies;  ///< masters of other holders, and what layers read, beside their owner's masters
};

/// All calls are collective over the world, and give the same on all its ranks.
class SideComparison {
 public:
  /// `reference` is null on ranks that have no part in it. Both sides and `world` must outlive this.
  SideComparison(runtime::Communicator& world, VerifySide& asked, VerifySide* reference);

  const std::vector<NamedTensor>& tensors() const { return tensors_; }

  /// Of each tensor what is wrong with who owns what: partition_flaw() over all ranks.
  std::vector<std::optional<std::string>> ownership_flaws();

  StartComparison start();
  /// While the gradients of both are complete sums.
  TensorComparisons gradients();
  /// After an update of both with these terms. Then gives the layout the reference's parameters and moments, so that
  /// what differs in the next step has arisen there.
  StateComparison state(const UpdateTerms& terms);

  /// Host memory of a rank beside both sides.
  static int64_t buffer_bytes(const model::ModelConfig& config);

 private:
  using Range = runtime::View parallel::UnitMemory::*;
  using Values = std::vector<float>;
  struct Sums;

  void bring(VerifySide* side, const HeldPieces& pieces, size_t tensor, Range range, const parallel::Box& chunk,
             Values& values);
  void compare_state(size_t tensor, const parallel::Box& chunk, const UpdateTerms& terms, Sums& sums);
  void compare_copies(size_t tensor, const parallel::Box& chunk, Extent& difference);
  void take_state(size_t tensor, const parallel::Box& chunk);
  void await_parameters(size_t tensor);
  runtime::View range_of(const HeldPiece& piece, Range range, const parallel::CopyRun& run);

  runtime::Communicator& world_;
  VerifySide& asked_;
  VerifySide* reference_;
  std::vector<NamedTensor> tensors_;
  HeldPieces owned_;
  HeldPieces read_;
  HeldPieces reference_pieces_;
  // Of the rows at hand: the reference's masters (or gradients) and moments, this layout's masters, and what is held.
  Values expected_, expected_m_, expected_v_, masters_;
  Values held_, held_m_, held_v_;
};

}  // namespace trireme::launch
