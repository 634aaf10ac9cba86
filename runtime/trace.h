// What a rank did and when, event by event, for some steps: ops of its stream, calls of its groups, what it waited
// for, and spans that callers name. Plain records of literals and numbers, in memory that was taken before: recording
// neither allocates nor locks, and what finds no room is left out and counted. Written by the training thread alone. It
// knows no formats and no other ranks.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/communicator.h"
#include "runtime/op_cost.h"

namespace trireme::runtime {

// Times are by monotonic_seconds(). Names are literals.

struct TracedOp {
  double begin = 0;
  double end = 0;
  OpCost cost;
};

/// A call of a group, from its start to its end: it may go on while ops run.
struct TracedCall {
  double entered = 0;
  double left = 0;  ///< 0: still in flight
  std::string_view op;
  DType dtype = DType::u8;
  int group = 0;         ///< GroupFlight::id
  int peer = -1;         ///< world rank of the other side of a send or recv; -1: a collective
  int64_t position = 0;  ///< as CommCall's: alike on all ranks
  int64_t elements = 0;
  int64_t sent_bytes = 0;  ///< by this rank, as its ledger counts
};

/// The training thread stood still until a call was done; the call as in TracedCall.
struct TracedWait {
  double begin = 0;
  double end = 0;
  std::string_view op;
  int group = 0;
  int peer = -1;
  int64_t position = 0;
};

struct TracedSpan {
  double begin = 0;
  double end = 0;  ///< 0: not ended
  std::string_view name;
  int64_t number = -1;  ///< of a step or a microbatch; -1: none
  int chunk = -1;
};

/// The most events of each kind. Waits are as many as calls at most.
struct TraceRoom {
  int64_t ops = 0;
  int64_t calls = 0;
  int64_t spans = 0;

  int64_t bytes() const;
};

class Trace {
 public:
  /// What an event that found no room gets for a place.
  static constexpr int64_t kNone = -1;

  /// Takes and touches all memory.
  explicit Trace(const TraceRoom& room);

  /// False: nothing new is recorded but spans; what was begun may end. True at first.
  void record(bool on) { records_ = on; }

  void add_op(const OpCost& cost, double begin, double end);
  /// The place of the call, for leave().
  int64_t enter(const CommCall& call, int group, int64_t sent_bytes);
  void leave(int64_t place);
  void add_wait(const TracedWait& wait);
  int64_t begin_span(std::string_view name, int64_t number = -1, int chunk = -1);
  void end_span(int64_t place);

  const std::vector<TracedOp>& ops() const { return ops_; }
  const std::vector<TracedCall>& calls() const { return calls_; }
  const std::vector<TracedWait>& waits() const { return waits_; }
  const std::vector<TracedSpan>& spans() const { return spans_; }
  /// Events that found no room.
  int64_t left_out() const { return left_out_; }

 private:
  bool records_ = true;
  int64_t left_out_ = 0;
  std::vector<TracedOp> ops_;
  std::vector<TracedCall> calls_;
  std::vector<TracedWait> waits_;
  std::vector<TracedSpan> spans_;
};

/// A span as long as this lives; a null trace is nobody's.
class TraceSpan {
 public:
  explicit TraceSpan(Trace* trace, std::string_view name, int64_t number = -1, int chunk = -1) : trace_(trace) {
    if (trace_ != nullptr) place_ = trace_->begin_span(name, number, chunk);
  }
  ~TraceSpan() {
    if (trace_ != nullptr) trace_->end_span(place_);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace* trace_;
  int64_t place_ = Trace::kNone;
};

}  // namespace trireme::runtime
