// How the clock of this rank (monotonic_seconds) stands to that of the first: clocks of two machines begin anywhere and
// run apart by microseconds a second. Found by messages there and back (Cristian 1989, "Probabilistic clock
// synchronization"): who asks at a, is told s and hears it at b, knows that s was the other's time at (a + b) / 2, give
// or take (b - a) / 2.
#pragma once

#include <functional>

#include "runtime/communicator.h"
#include "runtime/stopwatch.h"

namespace trireme::runtime {

struct ClockReading {
  double at = 0;          ///< by this rank's clock
  double offset = 0;      ///< added to it, the first rank's time; wrong by half of round_trip at most
  double round_trip = 0;  ///< the least of several
};

/// Of `clock`, in seconds. Collective; the first rank answers one after another. Its own clock is off by nothing.
ClockReading read_clock(Communicator& world, const std::function<double()>& clock = monotonic_seconds);

/// A time of this rank on the first one's clock: between two readings, and beyond them, the offset is taken to change
/// at a constant rate.
class ClockMap {
 public:
  ClockMap() = default;
  ClockMap(const ClockReading& before, const ClockReading& after);
  double operator()(double seconds) const { return seconds + offset_ + drift_ * (seconds - at_); }

 private:
  double at_ = 0;
  double offset_ = 0;
  double drift_ = 0;  ///< seconds a second
};

}  // namespace trireme::runtime
