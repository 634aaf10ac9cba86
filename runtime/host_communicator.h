// Communicator over a Transport: calls become plans, which a MessageEngine works off. It has a queue for the
// collectives of its group and one for the sends to and one for the recvs from each peer, so a send never waits for a
// recv. After a failure (a peer that died or disagrees) every call and wait() of the rank throws it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/communicator.h"
#include "runtime/message_engine.h"
#include "runtime/transport.h"

namespace trireme::runtime {

class HostCommunicator : public Communicator {
 public:
  /// All ranks of the transport.
  HostCommunicator(std::unique_ptr<Transport> transport, const MessageOptions& options, std::string name = "world");

  int rank() const override { return group_->rank; }
  int size() const override { return static_cast<int>(group_->world_ranks.size()); }

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name, GroupUse use) override;

  void progress() override {
    engine_->recorder().tick();  // an op began
    engine_->progress();
  }
  std::vector<CommCall> recent_calls() const override { return group_->ledger.recent_calls(); }
  const std::map<std::string, CommTotal, std::less<>>& totals() const override { return group_->ledger.totals(); }
  int64_t staging_bytes() const override { return runtime::staging_bytes(engine_->options(), size(), group_->use); }

  FlightRecorder* recorder() override { return engine_->transport().size() > 1 ? &engine_->recorder() : nullptr; }

  /// True after a failure, or while operations are in flight: the ranks cannot part in order now.
  bool unsettled() const { return engine_->failed() || !engine_->idle(); }

 private:
  using Queues = std::vector<std::shared_ptr<MessageQueue>>;
  HostCommunicator(std::shared_ptr<MessageEngine> engine, std::shared_ptr<MessageGroup> group);
  void make_queues();
  Pending start(const CollectiveCall& call) override;
  MessageQueue& queue_to(int peer, Queues& queues, std::string_view op);

  std::shared_ptr<MessageEngine> engine_;  // with the other groups of this rank
  std::shared_ptr<MessageGroup> group_;    // with this group's operations in flight
  std::shared_ptr<MessageQueue> collectives_;
  Queues sends_;  ///< by peer, made at first use
  Queues recvs_;
};

/// What split() is given by one rank.
struct SplitChoice {
  int color = 0;
  int key = 0;
};
/// The ranks that chose the colour of `rank`, ordered by (key, rank).
std::vector<int> split_members(const std::vector<SplitChoice>& choices, int rank);

}  // namespace trireme::runtime
