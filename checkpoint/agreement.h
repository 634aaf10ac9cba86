// How the ranks stay together when one of them fails: each tries its part, then all learn who failed and why, so that
// all go on or all stop.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "runtime/communicator.h"
#include "runtime/error.h"

namespace trireme::checkpoint {

struct Failure {
  int rank = 0;
  std::string reason;
};

/// Collective. Runs `part` on this rank (one that has nothing to do passes {}); nothing when it worked on all ranks,
/// else the failure of the lowest rank that failed, the same on every rank. Throws only when the ranks cannot be asked.
std::optional<Failure> try_together(runtime::Communicator& communicator, const std::function<void()>& part);

/// "rank 3: reason"; the reason alone in a group of one.
std::string describe(const Failure& failure, const runtime::Communicator& communicator);

}  // namespace trireme::checkpoint
