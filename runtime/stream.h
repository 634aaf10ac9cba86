// A Stream is where ops run, in order. On the CPU an op runs inline; a dry stream only records. Every op passes through
// dispatch(), which adds up its stated cost, polls the messages in flight (there is no progress thread) and, under a
// profile, times the call.
#pragma once

#include <functional>
#include <string_view>

#include "runtime/op_cost.h"
#include "runtime/op_profile.h"

namespace trireme::runtime {

enum class Device {
  cpu,
  dry,  ///< checks shapes and states costs; touches no memory
};

std::string_view name(Device device);

class Stream {
 public:
  explicit Stream(Device device) : device_(device) {}

  Device device() const { return device_; }

  /// Called by every op after its shape checks and before its kernel; the scope lasts until the kernel is done.
  [[nodiscard]] OpScope dispatch(OpCost cost) {
    if (recomputing_) cost.recomputed_flops = cost.flops;
    costs_.add(cost);
    if (progress_) progress_();
    return OpScope(profile_, cost);
  }

  /// `progress` advances pending messages; it must be cheap and must not throw on a slow peer.
  void on_dispatch(std::function<void()> progress) { progress_ = std::move(progress); }

  /// Times every call from now on into `profile`, which outlives this stream or the next call; null: no longer.
  void profile_into(OpProfile* profile) { profile_ = profile; }

  const CostRecord& costs() const { return costs_; }
  void clear_costs() { costs_ = {}; }

 private:
  friend class RecomputeScope;

  Device device_;
  CostRecord costs_;
  std::function<void()> progress_;
  OpProfile* profile_ = nullptr;
  bool recomputing_ = false;
};

/// Ops inside the scope repeat what was computed before: all their flops are recomputed ones.
class RecomputeScope {
 public:
  explicit RecomputeScope(Stream& stream) : stream_(stream), before_(stream.recomputing_) {
    stream.recomputing_ = true;
  }
  ~RecomputeScope() { stream_.recomputing_ = before_; }
  RecomputeScope(const RecomputeScope&) = delete;
  RecomputeScope& operator=(const RecomputeScope&) = delete;

 private:
  Stream& stream_;
  bool before_;
};

}  // namespace trireme::runtime
