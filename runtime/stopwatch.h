// Elapsed wall time on the monotonic clock.
#pragma once

#include <chrono>

namespace trireme::runtime {

class Stopwatch {
 public:
  /// Since construction or the last lap.
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  /// The same, and starts again.
  double lap() {
    const Clock::time_point now = Clock::now();
    const double elapsed = std::chrono::duration<double>(now - start_).count();
    start_ = now;
    return elapsed;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace trireme::runtime
