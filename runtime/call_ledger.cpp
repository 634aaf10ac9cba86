#include "runtime/call_ledger.h"

#include <algorithm>

#include "runtime/stopwatch.h"

namespace trireme::runtime {

int64_t CallLedger::enter(const CommCall& call, const Traffic& traffic) {
  auto found = totals_.find(call.op);
  if (found == totals_.end()) found = totals_.emplace(std::string(call.op), CommTotal{}).first;
  std::lock_guard lock(ring_mutex_);
  if (call.peer < 0) {
    collectives_ = call.position + 1;
  } else {
    auto with = std::ranges::find(messages_, call.peer, &GroupFlight::Messages::peer);
    if (with == messages_.end()) with = messages_.insert(with, {.peer = call.peer});
    (call.op == name(CollectiveOp::send) ? with->sent : with->received) = call.position + 1;
  }
  found->second.calls += 1;
  found->second.messages += traffic.messages;
  found->second.bytes += traffic.bytes;
  CommCall& kept = ring_[static_cast<size_t>(calls_ % kRecentCalls)];
  kept = call;
  kept.sequence = calls_;
  kept.entered_seconds = monotonic_seconds();
  kept.left_seconds = 0;
  return calls_++;
}

void CallLedger::leave(int64_t sequence) {
  std::lock_guard lock(ring_mutex_);
  CommCall& call = ring_[static_cast<size_t>(sequence % kRecentCalls)];
  if (call.sequence != sequence) return;
  call.left_seconds = monotonic_seconds();
  totals_.find(call.op)->second.seconds += call.left_seconds - call.entered_seconds;
}

std::vector<CommCall> CallLedger::recent_calls() const {
  std::vector<CommCall> calls;
  std::lock_guard lock(ring_mutex_);
  for (int64_t sequence = std::max<int64_t>(0, calls_ - kRecentCalls); sequence < calls_; ++sequence) {
    calls.push_back(ring_[static_cast<size_t>(sequence % kRecentCalls)]);
    calls.back().group = group_;
  }
  return calls;
}

GroupFlight CallLedger::flight() const {
  GroupFlight flight{.name = group_};
  std::lock_guard lock(ring_mutex_);
  flight.entered = collectives_;
  flight.messages = messages_;
  for (int64_t sequence = std::max<int64_t>(0, calls_ - kRecentCalls); sequence < calls_; ++sequence) {
    const CommCall& call = ring_[static_cast<size_t>(sequence % kRecentCalls)];
    if (call.left_seconds > 0) continue;
    flight.in_flight.push_back(flight_call(call));
    if (flight.in_flight.size() == GroupFlight::kMostInFlight) break;
  }
  return flight;
}

std::optional<CommCall> CallLedger::last_call() const {
  std::lock_guard lock(ring_mutex_);
  if (calls_ == 0) return std::nullopt;
  return ring_[static_cast<size_t>((calls_ - 1) % kRecentCalls)];
}

FlightCall flight_call(const CommCall& call) {
  return {.op = std::string(call.op),
          .position = call.position,
          .elements = call.elements,
          .dtype = call.dtype,
          .peer = call.peer};
}

}  // namespace trireme::runtime
