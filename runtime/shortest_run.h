// How measurements of rates are timed: by the shortest of several runs, since neighbours, interrupts and cold caches
// only ever make a run longer. It does not know what a run does.
#pragma once

#include <algorithm>
#include <limits>

#include "runtime/stopwatch.h"

namespace trireme::runtime {

/// A run that takes longer than the whole time it is given is repeated as often as this all the same.
inline constexpr int kLeastTimedRuns = 5;

/// Seconds of the shortest run of `action`. The first run warms up and is not counted; the timed ones after it last for
/// `seconds` and are kLeastTimedRuns at least.
template <typename Action>
double shortest_run(double seconds, Action&& action) {
  action();
  double shortest = std::numeric_limits<double>::infinity();
  const Stopwatch total;
  for (int runs = 0; runs < kLeastTimedRuns || total.seconds() < seconds; ++runs) {
    const Stopwatch watch;
    action();
    shortest = std::min(shortest, watch.seconds());
  }
  return shortest;
}

}  // namespace trireme::runtime
