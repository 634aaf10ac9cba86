// Messages between the ranks of a group. A collective or a send returns at once with a Pending, which owns the right to
// its buffers until wait(). Collectives are planned as lists of point-to-point steps (collective_plan.h), so that every
// kind of communicator, dry included, follows the same list: `local` (ranks as threads, mailboxes), MPI, and dry, which
// only adds up messages and bytes. A group of one is the identity. Only the training thread calls a communicator.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/view.h"

namespace trireme::runtime {

enum class ReduceOp { sum, max };
/// What a group is made for: anything, or anything but all_reduce and reduce_scatter, which it then refuses.
enum class GroupUse { sums, messages };
struct CollectiveCall;
class FlightRecorder;

/// An operation in flight. Waiting is done by wait(), which throws what went wrong; the destructor of an unfinished
/// Pending waits too and logs, except when an exception ends its scope: then it abandons the operation, for a failing
/// rank must not wait for others. A default-constructed one is done.
class Pending {
 public:
  class Operation {
   public:
    virtual ~Operation() = default;
    virtual bool done() = 0;
    virtual void wait() = 0;
    /// Gives the buffers back without waiting; the communicators of this rank are of no use afterwards.
    virtual void abandon() noexcept = 0;
  };

  Pending() = default;
  explicit Pending(std::shared_ptr<Operation> operation) : operation_(std::move(operation)) {}
  Pending(Pending&& other) noexcept : operation_(std::move(other.operation_)) {}
  Pending& operator=(Pending&& other) noexcept;
  ~Pending();

  bool done() const { return operation_ == nullptr || operation_->done(); }
  void wait();

 private:
  std::shared_ptr<Operation> operation_;  // shared with its communicator, which makes it progress
  int exceptions_at_start_ = std::uncaught_exceptions();
};

/// One entry of a communicator's ring of recent calls.
struct CommCall {
  int64_t sequence = 0;
  std::string_view op;
  std::string group;
  int64_t elements = 0;
  DType dtype = DType::u8;
  int64_t position = 0;        ///< among the group's collectives, or its messages to or from `peer`
  int peer = -1;               ///< world rank of the other side of a send or recv; -1: a collective
  double entered_seconds = 0;  ///< monotonic clock
  double left_seconds = 0;     ///< 0 while in flight
};

/// Messages sent by this rank, per op.
struct CommTotal {
  int64_t calls = 0;
  int64_t messages = 0;
  int64_t bytes = 0;
  double seconds = 0;  ///< from the start of each call to its end, what was computed in between included
  /// What is counted, not what is measured: equal for every kind of communicator.
  bool operator==(const CommTotal& other) const {
    return calls == other.calls && messages == other.messages && bytes == other.bytes;
  }
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Element by element, in place; the same bits on every rank. fp32, bf16, fp64, i64. bf16: each of the P - 1
  /// additions is done in fp32 and rounded to nearest even, so the error grows with P; NaN stays NaN.
  /// Sends 2(P-1)/P * |buffer| bytes per rank, in 2(P-1) messages that wait for each other. A buffer of at most 63 P
  /// elements goes up a tree and down again as a whole: through 2 log2(P) messages, at most log2(P) of one rank.
  Pending all_reduce(View buffer, ReduceOp op);
  /// output (n) = this rank's part of the sum over ranks of input (P * n), for n >= 64 with the bits of all_reduce;
  /// dtypes as there. Sends (P-1)/P * |input| bytes per rank.
  Pending reduce_scatter(ConstView input, View output, ReduceOp op);
  /// output (P * n) = the inputs (n) of all ranks in rank order. Sends (P-1) * |input| bytes per rank. Any dtype.
  Pending all_gather(ConstView input, View output);
  /// Part i of input (P * n) goes to rank i; part i of output (P * n) came from rank i.
  Pending all_to_all(ConstView input, View output);
  Pending broadcast(View buffer, int root);
  Pending send(ConstView buffer, int peer);
  Pending recv(View buffer, int peer);
  Pending barrier();
  /// Ranks with the same colour form a group, ordered by (key, rank). Collective over this group; `name` is for reports
  /// ("dp").
  virtual std::unique_ptr<Communicator> split(int color, int key, const std::string& name,
                                              GroupUse use = GroupUse::sums) = 0;

  /// Advances what is in flight; cheap when nothing is.
  virtual void progress() = 0;

  /// Memory of this group outside every arena (MemoryPlan does not count it): what sums of messages are taken in, so 0
  /// for GroupUse::messages. Reserved and touched when the group is made; a group made by split() has its own. A dry
  /// group states what a real one of its size takes.
  virtual int64_t staging_bytes() const = 0;

  /// The last calls, oldest first (256 at most).
  virtual std::vector<CommCall> recent_calls() const = 0;
  virtual const std::map<std::string, CommTotal, std::less<>>& totals() const = 0;

  /// What this rank is at, the same for all of its groups; null where nothing is recorded (a program alone, dry).
  virtual FlightRecorder* recorder() { return nullptr; }

 private:
  virtual Pending start(const CollectiveCall& call) = 0;
};

/// A group of one, for a program started alone.
std::unique_ptr<Communicator> solo_communicator();

/// Every rank's bytes, in rank order. For the ends of the program (options, manifests): it allocates.
std::vector<std::string> all_gather_bytes(Communicator& communicator, const std::string& bytes);

/// One rank's bytes to another, of any number; they allocate too.
void send_bytes(Communicator& communicator, const std::string& bytes, int peer);
std::string recv_bytes(Communicator& communicator, int peer);

}  // namespace trireme::runtime
