// Whether somebody asked this process to stop: SIGUSR1, SIGTERM or SIGINT while it trains. The first is only noted, and
// training looks when it can; a second one of the same kind ends the process at once. Of the same kind, since Slurm's
// own sequence is USR1 before a time limit, then TERM, then KILL: that must not end the save which the first began. It
// does not know what is done about a stop, nor what other ranks were asked (step_votes.h carries that).
#pragma once

#include <csignal>
#include <array>
#include <string>

namespace trireme::launch {

/// While it lives these signals are noted; then what was before is restored, unless finish() was called. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static constexpr std::array<int, 3> kSignals{SIGUSR1, SIGTERM, SIGINT};
  /// A launcher and a scheduler often both deliver one request: so soon after the first of its kind it is no second.
  static constexpr int kEchoSeconds = 1;

  /// The first that came; 0: none. Any thread.
  static int noted();
  /// All is done that could be lost: from now on, until the process ends, these signals are ignored, so that neither
  /// somebody's late one nor a launcher that ends stragglers changes the exit code. Nothing is restored any more.
  static void finish();

 private:
  std::array<struct sigaction, kSignals.size()> before_{};
};

/// "SIGUSR1"; "" for 0.
std::string signal_name(int signal);

}  // namespace trireme::launch
