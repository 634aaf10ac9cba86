// Data parallelism, ZeRO stage 0: every rank holds every gradient; each unit is reduced once a step, as soon as its
// last backward pass is done, while earlier layers still compute. Knows ranges and messages, no layers.
#pragma once

#include <vector>

#include "runtime/communicator.h"
#include "runtime/view.h"

namespace trireme::parallel {

class GradientReduction {
 public:
  /// `units` is the number of starts a step; the group must outlive this.
  GradientReduction(runtime::Communicator& dp, int64_t units);

  /// gradients := their sum over dp, once finish() has returned. Collective: all ranks start the same units in the same
  /// order. Moves 2(P-1)/P * |gradients| bytes per rank.
  void start(runtime::View gradients);
  void finish();

 private:
  runtime::Communicator& dp_;
  std::vector<runtime::Pending> pending_;
};

}  // namespace trireme::parallel
