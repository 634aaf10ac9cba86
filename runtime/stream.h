// A Stream is where ops run, in order. On the CPU an op runs inline; on the GPU its kernels are queued and run later; a
// dry stream only records. Every op passes through dispatch(), which adds up its stated cost, polls the messages in
// flight (there is no progress thread) and, under a profile, times the call.
#pragma once

#include <functional>
#include <optional>

#include "runtime/cuda_queue.h"
#include "runtime/device.h"
#include "runtime/op_cost.h"
#include "runtime/op_profile.h"
#include "runtime/stopwatch.h"
#include "runtime/trace.h"

namespace trireme::runtime {

class OpScope;

class Stream {
 public:
  /// With Device::cuda throws Error(device) where there is no GPU to compute on.
  explicit Stream(Device device);
  /// A dry stream that asks for the memory which `device` would need.
  static Stream dry_for(Device device);

  Device device() const { return device_; }
  /// The device whose memory is planned: device() itself, but for a dry stream.
  Device planned_device() const { return planned_device_; }
  /// Of a cuda stream.
  CudaQueue& queue() { return *queue_; }

  /// Called by every op after its shape checks and before its kernel; the scope lasts until the kernel is done, or
  /// queued.
  [[nodiscard]] OpScope dispatch(OpCost cost);

  /// Until all ops so far are done. Throws Error(device) when the GPU failed at one.
  void wait();

  /// `progress` advances pending messages; it must be cheap and must not throw on a slow peer.
  void on_dispatch(std::function<void()> progress) { progress_ = std::move(progress); }

  /// Times every call from now on into `profile`, which outlives this stream or the next call; null: no longer. On the
  /// GPU each op is then waited for, so that the whole takes longer than without a profile.
  void profile_into(OpProfile* profile) {
    profile_ = profile;
    is_timed_ = profile_ != nullptr || trace_ != nullptr;
  }
  /// Likewise records every call in `trace`.
  void trace_into(Trace* trace) {
    trace_ = trace;
    is_timed_ = profile_ != nullptr || trace_ != nullptr;
  }
  bool is_timed() const { return is_timed_; }

  const CostRecord& costs() const { return costs_; }
  /// Of work that is repeated without its ops being called.
  void add_costs(const CostRecord& costs) { costs_.add(costs); }
  void clear_costs() { costs_ = {}; }

 private:
  friend class OpScope;
  friend class RecomputeScope;
  Stream(Device device, Device planned_device);

  Device device_;
  Device planned_device_;
  CudaQueuePointer queue_;
  CostRecord costs_;
  std::function<void()> progress_;
  OpProfile* profile_ = nullptr;
  Trace* trace_ = nullptr;
  bool is_timed_ = false;  ///< by either: one look at an op that nobody times
  bool recomputing_ = false;
};

/// Lasts from an op's dispatch to its end, and tells its time to the stream's profile and trace where there are any.
class [[nodiscard]] OpScope {
 public:
  OpScope(Stream& stream, const OpCost& cost) {
    if (!stream.is_timed_) return;
    stream.wait();
    call_.emplace(Call{stream, cost, monotonic_seconds()});
  }
  /// An op that fails on the GPU is found by the next wait that is no destructor.
  ~OpScope() {
    if (call_) end();
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  struct Call {
    Stream& stream;
    OpCost cost;
    double begin_seconds;
  };
  void end() noexcept;
  std::optional<Call> call_;
};

inline OpScope Stream::dispatch(OpCost cost) {
  if (recomputing_) cost.recomputed_flops = cost.flops;
  costs_.add(cost);
  if (progress_) progress_();
  return OpScope(*this, cost);
}

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
