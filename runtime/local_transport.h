// Ranks as threads of one process: a send lies in a mailbox until the receiver copies it out of the sender's memory, so
// that every send is a rendezvous (stricter than MPI: a program that relies on buffering hangs here, not in
// production). A rank that fails or leaves early makes those that wait for it fail with Error(peer).
#pragma once

#include <memory>
#include <string>

#include "runtime/transport.h"

namespace trireme::runtime {

/// What the threads share.
class LocalWorld {
 public:
  explicit LocalWorld(int size);
  ~LocalWorld();

  /// All others fail with Error(peer) naming `rank` and `reason`. The first one counts.
  void fail(int rank, const std::string& reason);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// The end of one rank. Its destruction is the rank's leaving.
std::unique_ptr<Transport> local_transport(std::shared_ptr<LocalWorld> world, int rank);

}  // namespace trireme::runtime
