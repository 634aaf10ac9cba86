// The calls that ranks are in, put together from what each says of itself: who waits in which call, who must still do
// something for it, and where ranks are in different calls at the same position. Pure functions; no time is known here.
#pragma once

#include <optional>
#include <vector>

#include "runtime/flight_verdict.h"

namespace trireme::runtime {

/// A call that ranks wait in.
struct WaitedCall {
  FlightCall call;
  const GroupFlight* group = nullptr;  ///< as one of those who wait sees it
  std::vector<int> waiting;
  std::vector<int> missing;  ///< have not entered it
  /// Have entered it, may even be done with it, and wait nowhere: MPI moves what they have sent only while they wait or
  /// compute.
  std::vector<int> idle;
  /// Have entered it, and wait in another call by now: what they sent for this one may be on its way.
  std::vector<int> elsewhere;
};

/// Of the watched ranks.
std::vector<WaitedCall> waited_calls(const std::vector<WatchedRank>& ranks);

/// One position of a group (or of the messages between two of its ranks) at which ranks are in calls that differ.
struct DifferentCalls {
  struct Seen {
    int rank = 0;
    FlightCall call;
  };
  const GroupFlight* group = nullptr;
  std::vector<Seen> seen;  ///< by rank
};

/// The first such position of the first group that has one, among the calls in flight.
std::optional<DifferentCalls> different_calls(const std::vector<WatchedRank>& ranks);

}  // namespace trireme::runtime
