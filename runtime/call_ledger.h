// The books of one group: a ring of its recent calls, how far it is with each peer, and the messages it sent, per op.
// What stands in the ring may be read by another thread (a watchdog that asks what hangs); the totals belong to the
// training thread.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/collective_plan.h"
#include "runtime/communicator.h"
#include "runtime/flight_recorder.h"

namespace trireme::runtime {

class CallLedger {
 public:
  static constexpr int64_t kRecentCalls = 256;

  explicit CallLedger(std::string group) : group_(std::move(group)) {}

  const std::string& group() const { return group_; }

  /// Of the call: op (a literal), elements, dtype, position and peer. Returns the sequence number of the call.
  int64_t enter(const CommCall& call, const Traffic& traffic);
  void leave(int64_t sequence);

  std::vector<CommCall> recent_calls() const;
  /// All but id and members. Any thread.
  GroupFlight flight() const;
  /// Any thread.
  std::optional<CommCall> last_call() const;
  const std::map<std::string, CommTotal, std::less<>>& totals() const { return totals_; }

 private:
  std::string group_;
  mutable std::mutex ring_mutex_;
  std::array<CommCall, kRecentCalls> ring_;  ///< without the group's name, so that nothing is allocated per call
  int64_t calls_ = 0;
  int64_t collectives_ = 0;
  std::vector<GroupFlight::Messages> messages_;  ///< of each peer that there were any with
  std::map<std::string, CommTotal, std::less<>> totals_;
};

/// What other ranks can compare a call by.
FlightCall flight_call(const CommCall& call);

}  // namespace trireme::runtime
