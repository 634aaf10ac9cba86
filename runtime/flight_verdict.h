// Who is late, as a pure function of what all ranks were last heard to be at. It knows no clock, socket or thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/flight_recorder.h"
#include "runtime/watchdog.h"

namespace trireme::runtime {

/// A rank as its watcher knows it.
struct WatchedRank {
  bool watched = true;  ///< false: it has left in order, or was never reached; it is not late, and nobody's reason
  bool gone = false;    ///< its connection was closed without a word: its process has ended, mostly
  std::string host;
  RankFlight flight;           ///< the last that was heard
  double silent_seconds = 0;   ///< since then
  double unmoved_seconds = 0;  ///< since its count last moved, as far as was heard
  std::string disagreement;    ///< what its training thread found (Watchdog::disagree), or empty
};

/// Late is who has not entered a call that another rank waits in, waits for nothing itself, and has not moved for
/// `limit_seconds` (ten times as long in Phase starting, loading and saving), and who has entered it and then neither
/// waits nor moves, so that its messages stay; or who was not heard of for so long while others have been stuck for half
/// the limit in a call that needs it. Where not a word comes from any other host, rank 0, whose view this is, takes its
/// own for cut off, after half as long again: the others judge first. Where all that are missing wait themselves, in other calls, all those calls are named; where nobody is
/// missing and nobody moves, messages are lost. Index in `ranks`: the world rank.
std::optional<WatchdogVerdict> judge(const std::vector<WatchedRank>& ranks, double limit_seconds);

}  // namespace trireme::runtime
