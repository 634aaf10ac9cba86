// The books of one group: a ring of its recent calls and the messages it sent, per op. The ring may be read by another
// thread (a watchdog that asks what hangs); everything else belongs to the training thread.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/collective_plan.h"
#include "runtime/communicator.h"

namespace trireme::runtime {

class CallLedger {
 public:
  static constexpr int64_t kRecentCalls = 256;

  explicit CallLedger(std::string group) : group_(std::move(group)) {}

  const std::string& group() const { return group_; }

  /// `op` must be a literal. Returns the sequence number of the call.
  int64_t enter(std::string_view op, int64_t elements, DType dtype, const Traffic& traffic);
  void leave(int64_t sequence);

  std::vector<CommCall> recent_calls() const;
  const std::map<std::string, CommTotal, std::less<>>& totals() const { return totals_; }

 private:
  std::string group_;
  mutable std::mutex ring_mutex_;
  std::array<CommCall, kRecentCalls> ring_;  ///< without the group's name, so that nothing is allocated per call
  int64_t calls_ = 0;
  std::map<std::string, CommTotal, std::less<>> totals_;
};

}  // namespace trireme::runtime
