// What a rank is at, for others to ask while it trains: its phase, a count that moves whenever it does anything, and
// where it stands in the calls of each group (the ring of call_ledger.h). Written by the training thread, read by any
// thread, above all by a watchdog's (watchdog.h). One for each rank: its communicators share it. It knows neither what
// is late nor who asks.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/dtype.h"
#include "runtime/trace.h"

namespace trireme::runtime {

/// What the training thread is busy with. Those with files in them have no count that moves at every access.
enum class Phase { starting, loading, training, validating, saving, ending };
std::string_view name(Phase phase);
std::optional<Phase> phase_from_name(std::string_view text);

/// A call as ranks can compare it: `position` counts the collectives of a group, or the messages from one rank to
/// another, from 0, alike on both sides.
struct FlightCall {
  std::string op;  ///< "all_reduce", "send", ...
  int64_t position = 0;
  int64_t elements = 0;
  DType dtype = DType::u8;
  int peer = -1;  ///< world rank of the other side of a send or recv; -1: a collective
  bool operator==(const FlightCall&) const = default;
};

/// Where this rank stands in one group.
struct GroupFlight {
  int id = 0;                    ///< of the split; groups of one split share it
  std::string name;              ///< "dp"
  std::vector<int> world_ranks;  ///< the members
  int64_t entered = 0;           ///< collectives so far, those in flight among them
  /// Messages begun with each peer, by world rank.
  struct Messages {
    int peer = 0;
    int64_t sent = 0;
    int64_t received = 0;
    bool operator==(const Messages&) const = default;
  };
  std::vector<Messages> messages;
  std::vector<FlightCall> in_flight;  ///< the oldest of them, kMostInFlight at most
  static constexpr size_t kMostInFlight = 8;
  bool operator==(const GroupFlight&) const = default;
};

/// A call in groups[group].
struct FlightPlace {
  size_t group = 0;
  FlightCall call;
  bool operator==(const FlightPlace&) const = default;
};

struct RankFlight {
  Phase phase = Phase::starting;
  int64_t count = 0;  ///< moves with every op, message and call
  std::vector<GroupFlight> groups;
  std::optional<FlightPlace> waits;  ///< for what the training thread waits
  std::optional<FlightPlace> last;   ///< the call entered last
  bool last_left = false;            ///< it is done
  bool operator==(const RankFlight&) const = default;
};

/// That it has begun, in all groups of several ranks.
int64_t entered_calls(const RankFlight& flight);

struct MessageGroup;

class FlightRecorder {
 public:
  /// Something was done. The training thread only, as all that writes.
  void tick() { count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  int64_t count() const { return count_.load(std::memory_order_relaxed); }
  Phase phase() const { return phase_.load(std::memory_order_relaxed); }
  void set_phase(Phase phase) {
    phase_.store(phase, std::memory_order_relaxed);
    tick();
  }

  /// The rest is the message engine's: groups as they are made (dropped with their last owner), and what it waits for.
  void add_group(const std::shared_ptr<MessageGroup>& group);
  void wait_for(const MessageGroup& group, const CommCall& call);
  void end_wait();
  /// After a failure: groups stay, so that others can be told where it happened when their owners are gone.
  void keep_groups();

  /// Of the training thread, between wait_for() and end_wait(), since the start; to be asked by that thread. What is
  /// left of a rank's time it is busy.
  double waited_seconds() const { return waited_seconds_; }

  /// Calls and waits are recorded there too from now on; null: no longer. The trace outlives that.
  void trace_into(Trace* trace) { trace_ = trace; }
  Trace* trace() { return trace_; }

  /// Any thread.
  RankFlight flight() const;

 private:
  std::atomic<int64_t> count_ = 0;
  std::atomic<Phase> phase_ = Phase::starting;
  double waited_seconds_ = 0;
  TracedWait wait_;           ///< that goes on, or the last one
  Trace* trace_ = nullptr;    ///< the caller's of trace_into()
  mutable std::mutex mutex_;  ///< of what follows
  std::vector<std::weak_ptr<MessageGroup>> groups_;
  std::vector<std::shared_ptr<MessageGroup>> kept_groups_;  ///< shared with their communicators
  const MessageGroup* wait_group_ = nullptr;                ///< only compared
  FlightCall wait_call_;
};

/// While it lives the rank is in that phase; the one before comes back. A null recorder (a program started alone) is
/// nobody's business.
class PhaseScope {
 public:
  PhaseScope(FlightRecorder* recorder, Phase phase) : recorder_(recorder) {
    if (recorder_ == nullptr) return;
    before_ = recorder_->phase();
    recorder_->set_phase(phase);
  }
  ~PhaseScope() {
    if (recorder_ != nullptr) recorder_->set_phase(before_);
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  FlightRecorder* recorder_;
  Phase before_ = Phase::starting;
};

}  // namespace trireme::runtime
