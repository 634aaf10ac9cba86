// Ends a job that hangs, and says who hangs it. A thread of each rank tells the one of rank 0, over TCP and without
// MPI, what the rank is at (flight_recorder.h); rank 0's judges (flight_verdict.h). When somebody is late rank 0 prints
// which ranks have not arrived and where the others wait, tells all, and whoever can run leaves by _exit(76). A rank
// that hears nothing from rank 0 any more says what it knows and does the same. The threads touch no communicator.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/communicator.h"
#include "runtime/flight_recorder.h"

namespace trireme::runtime {

inline constexpr int kWatchdogExit = 76;

/// Why a job was ended.
struct WatchdogVerdict {
  std::vector<int> ranks;  ///< who is late or disagrees; of nobody in particular empty
  std::string reason;      ///< one line: "rank 3 (host) has not arrived: ..."
};

struct WatchdogOptions {
  double limit_seconds = 60;  ///< without progress; ten times as long in phases that work on files
  /// Called once by who decides (rank 0, or each rank that lost it), in a thread of its own, before the job is ended:
  /// it leaves a note for whoever started the job. It is given a few seconds; a dead disk holds nobody up.
  std::function<void(const WatchdogVerdict&)> record;
};

class WatchdogThread;

class Watchdog {
 public:
  /// Collective over the world: rank 0 listens, the others connect. A rank that cannot reach it is said to be watched by
  /// nobody, and is never late. Of a world without a recorder (one rank) nothing is watched.
  Watchdog(Communicator& world, const WatchdogOptions& options);
  /// Of a rank that fails: it is gone, nobody waits. In order: end() first.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Collective: all ranks are done. Nobody is late from now on.
  void end();

  /// The training thread learned that ranks are in different calls (ErrorKind::mismatch): tells rank 0, which compares
  /// all of them. Ends the job with 76; returns only when nothing is watched.
  void disagree(const std::string& message);

 private:
  Communicator& world_;
  std::unique_ptr<WatchdogThread> thread_;  ///< null: nothing is watched, or not this rank
};

}  // namespace trireme::runtime
