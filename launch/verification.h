// `verify` without its words: both trainings, step by step, and what was found. The reference asks for its vote in the
// middle of its step, when its gradients are complete; the layout makes its whole step there, up to its own vote, where
// both gradients are at hand: nothing has to be kept.
#pragma once

#include <vector>

#include "launch/options.h"
#include "launch/training_settings.h"
#include "launch/verify_judge.h"
#include "runtime/communicator.h"

namespace trireme::launch {

/// Losses and norms of one step, of the layout's first rank and the reference's.
struct VerifiedStep {
  int64_t step = 0;
  ReportedStep layout;
  ReportedStep reference;
};

struct Verification {
  TrainingSettings layout;
  TrainingSettings reference;
  std::vector<VerifiedStep> steps;  ///< up to the first with a finding that does not pass
  std::vector<Finding> findings;
  bool passed = false;
};

/// Collective; the same on all ranks. Throws Error(usage) for options, data and model that do not fit each other, the
/// ranks or the memory of a machine.
Verification verify(const VerifyOptions& options, runtime::Communicator& world);

}  // namespace trireme::launch
