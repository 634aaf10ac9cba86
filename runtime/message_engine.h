// One rank's operations in flight. Each operation is a plan (collective_plan.h) whose lanes are small state machines
// over a Transport; a queue works its operations off in order of posting, at most `window` lanes at a time. All queues
// of a rank move together, whoever waits: so no group can wait for a message that its own rank holds back in another.
// The engine knows messages, not what they mean; nothing here blocks except wait().
#pragma once

#include <array>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "runtime/arena.h"
#include "runtime/call_ledger.h"
#include "runtime/collective_call.h"
#include "runtime/flight_recorder.h"
#include "runtime/transport.h"

namespace trireme::runtime {

struct MessageOptions {
  int64_t chunk_bytes = 1 << 20;  ///< of one message at most
  int window = 4;                 ///< lanes of a queue in flight, kMaxWindow at most
};

/// Of the chunks that a group of `group_size` is adding to: two buffers for each lane of the window; none for one rank,
/// and none where nothing is added.
int64_t staging_bytes(const MessageOptions& options, int group_size, GroupUse use);

/// What the two sides of every operation tell each other first, so that a mismatch is an error; buffers then
/// hold anything.
struct CallHeader {
  int64_t sequence = 0;  ///< in its queue
  int64_t elements = 0;
  int32_t op = 0;
  int32_t dtype = 0;
  int32_t reduce = 0;
  int32_t root = 0;
  bool operator==(const CallHeader&) const = default;
};

/// A set of ranks, seen from one of them. Shared by a communicator and its operations in flight.
struct MessageGroup {
  MessageGroup(int group_id, int group_rank, std::vector<int> ranks, std::string name, GroupUse group_use)
      : id(group_id), rank(group_rank), use(group_use), world_ranks(std::move(ranks)), ledger(std::move(name)) {}

  GroupPlace place() const { return {.rank = rank, .size = static_cast<int>(world_ranks.size()), .use = use}; }

  int id;
  int rank;
  GroupUse use;
  std::vector<int> world_ranks;  ///< of each rank of the group
  CallLedger ledger;
};

class MessageEngine;

class MessageOperation : public Pending::Operation {
 public:
  bool done() override;
  void wait() override;
  void abandon() noexcept override;

 private:
  friend class MessageQueue;
  friend class MessageEngine;
  MessageEngine* engine_ = nullptr;  ///< null when finished
  std::shared_ptr<MessageGroup> group_;
  CollectiveCall call_;
  CollectivePlan plan_;
  CommCall entered_;  ///< as the ledger has it
  int64_t traced_ = Trace::kNone;
  int64_t next_lane_ = 0;  ///< -1 stands for the headers
  int64_t lanes_left_ = 0;
  CallHeader own_header_;
  CallHeader peer_header_;
  std::exception_ptr failure_;
};

/// Operations between the same ranks, in order: the collectives of a group, or the sends to (recvs from) one peer.
class MessageQueue {
 public:
  static constexpr int kMaxWindow = 8;

  /// `staging` (staging_bytes(), or none when nothing will be reduced) is touched here, never later.
  MessageQueue(MessageEngine& engine, std::shared_ptr<MessageGroup> group, int channel, int64_t staging);

  /// Memory for one more operation, so that post() cannot fail.
  void reserve() { operations_.reserve(operations_.size() + 1); }
  void post(std::shared_ptr<MessageOperation> operation) noexcept;
  /// True when something moved. Throws Error(peer), or Error(mismatch) where the other side is in another call.
  bool advance();
  bool idle() const { return operations_.empty(); }
  /// Operations so far: the position of the next one.
  int64_t posted() const { return posted_operations_; }
  void fail(const std::exception_ptr& failure);

 private:
  struct Lane {
    std::shared_ptr<MessageOperation> operation;  ///< null: free
    int64_t index = 0;
    int step = 0;
    Step messages;  ///< of the current step
    MessageTag tag;
    Transport::Request send = Transport::kNone;
    Transport::Request recv = Transport::kNone;
    std::array<std::byte*, 2> staging{};
  };

  bool advance_lanes();
  void explain_by_headers();
  bool start_lane(Lane& lane, size_t slot);
  bool advance_lane(Lane& lane);
  void begin_step(Lane& lane);
  bool finish_step(Lane& lane);
  void end_lane(Lane& lane);
  void post_headers(Lane& lane);
  void post_messages(Lane& lane);
  void check_header(const MessageOperation& operation, int peer) const;

  MessageEngine& engine_;
  std::shared_ptr<MessageGroup> group_;
  int channel_;
  std::vector<std::shared_ptr<MessageOperation>> operations_;  ///< unfinished, in order
  std::array<Lane, kMaxWindow> lanes_;
  int64_t posted_operations_ = 0;
  int64_t started_lanes_ = 0;
  HostMemory staging_;
};

class MessageEngine {
 public:
  MessageEngine(std::unique_ptr<Transport> transport, const MessageOptions& options);
  ~MessageEngine();
  MessageEngine(const MessageEngine&) = delete;
  MessageEngine& operator=(const MessageEngine&) = delete;

  Transport& transport() { return *transport_; }
  const MessageOptions& options() const { return options_; }
  FlightRecorder& recorder() { return recorder_; }

  std::shared_ptr<MessageQueue> make_queue(std::shared_ptr<MessageGroup> group, int channel, int64_t staging);
  /// Starts a call and returns at once. `op` is the name it gets in the books. Throws what has failed before.
  Pending start(MessageQueue& queue, std::shared_ptr<MessageGroup> group, const CollectiveCall& call,
                std::string_view op);

  /// Moves what can move. A failure is kept: it ends all operations, and wait() and start() throw it.
  void progress();
  void wait(MessageOperation& operation);
  void fail(std::exception_ptr failure) noexcept;
  bool failed() const { return failure_ != nullptr; }
  bool idle() const { return in_flight_ == 0; }

  /// A number that no group of this rank has yet.
  int next_group() const { return next_group_; }
  void claim_group(int id);

 private:
  friend class MessageQueue;
  std::shared_ptr<MessageOperation> fresh_operation();
  bool advance();

  std::unique_ptr<Transport> transport_;
  MessageOptions options_;
  FlightRecorder recorder_;
  std::vector<std::shared_ptr<MessageQueue>> queues_;     ///< shared with communicators; dropped when both are done
  std::vector<std::shared_ptr<MessageOperation>> spare_;  ///< finished operations to use again
  int64_t in_flight_ = 0;
  int next_group_ = 0;
  std::exception_ptr failure_;
};

}  // namespace trireme::runtime
