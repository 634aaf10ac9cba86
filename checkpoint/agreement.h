// How the ranks stay together when one of them fails: each tries its part, then all learn who failed and why, so that
// all go on or all stop.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "runtime/communicator.h"
#include "runtime/error.h"

namespace trireme::checkpoint {

struct Failure {
  int rank = 0;
  runtime::ErrorKind kind = runtime::ErrorKind::internal;
  std::string reason;
};

/// Collective. Runs `part` on this rank (one that has nothing to do passes {}); nothing when it worked on all ranks,
/// else one failure, the same on every rank: of those that are not Error(data) that of the lowest rank, for they decide
/// what is done; without such, that of the lowest rank that failed. Its kind is that of the Error; memory that ran out
/// is `device`, a system_error `io`, any other exception `internal`. Throws only when the ranks cannot be asked.
std::optional<Failure> try_together(runtime::Communicator& communicator, const std::function<void()>& part);

/// The same in pieces, for ranks that tell each other at another time or by other means. What a rank tells of its part,
/// as bytes: its report, or how it failed. Never throws.
std::string outcome_of(const std::function<std::string()>& part);
/// Of the outcomes of all ranks, in rank order: the failure that try_together would name.
std::optional<Failure> failure_of(std::span<const std::string> outcomes);
/// Of an outcome that is no failure.
std::string report_of(const std::string& outcome);

/// "rank 3: reason"; the reason alone in a group of one.
std::string describe(const Failure& failure, size_t ranks);
std::string describe(const Failure& failure, const runtime::Communicator& communicator);

/// Throws the failure as an Error of its kind: `before` and then its description.
[[noreturn]] void rethrow(const Failure& failure, const runtime::Communicator& communicator, const std::string& before);

}  // namespace trireme::checkpoint
