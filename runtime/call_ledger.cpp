#include "runtime/call_ledger.h"

#include <algorithm>
#include <chrono>

namespace trireme::runtime {
namespace {

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int64_t CallLedger::enter(std::string_view op, int64_t elements, DType dtype, const Traffic& traffic) {
  auto found = totals_.find(op);
  if (found == totals_.end()) found = totals_.emplace(std::string(op), CommTotal{}).first;
  found->second.calls += 1;
  found->second.messages += traffic.messages;
  found->second.bytes += traffic.bytes;

  std::lock_guard lock(ring_mutex_);
  CommCall& call = ring_[static_cast<size_t>(calls_ % kRecentCalls)];
  call.sequence = calls_;
  call.op = op;
  call.elements = elements;
  call.dtype = dtype;
  call.entered_seconds = monotonic_seconds();
  call.left_seconds = 0;
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

}  // namespace trireme::runtime
