#include "runtime/host_communicator.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

constexpr int kCollectiveChannel = 0;
constexpr int kOneWayChannel = 1;

std::shared_ptr<MessageGroup> world_group(const Transport& transport, std::string name) {
  std::vector<int> ranks(static_cast<size_t>(transport.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return std::make_shared<MessageGroup>(0, transport.rank(), std::move(ranks), std::move(name), GroupUse::sums);
}

}  // namespace

HostCommunicator::HostCommunicator(std::unique_ptr<Transport> transport, const MessageOptions& options,
                                   std::string name) {
  group_ = world_group(*transport, std::move(name));
  engine_ = std::make_shared<MessageEngine>(std::move(transport), options);
  engine_->claim_group(group_->id);
  make_queues();
}

HostCommunicator::HostCommunicator(std::shared_ptr<MessageEngine> engine, std::shared_ptr<MessageGroup> group)
    : engine_(std::move(engine)), group_(std::move(group)) {
  make_queues();
}

void HostCommunicator::make_queues() {
  collectives_ = engine_->make_queue(group_, kCollectiveChannel, staging_bytes());
  engine_->recorder().add_group(group_);
  sends_.resize(group_->world_ranks.size());
  recvs_.resize(group_->world_ranks.size());
}

Pending HostCommunicator::start(const CollectiveCall& call) {
  MessageQueue* queue = collectives_.get();
  if (call.op == CollectiveOp::send) queue = &queue_to(call.peer, sends_, name(call.op));
  if (call.op == CollectiveOp::recv) queue = &queue_to(call.peer, recvs_, name(call.op));
  return engine_->start(*queue, group_, call, name(call.op));
}

MessageQueue& HostCommunicator::queue_to(int peer, Queues& queues, std::string_view op) {
  if (peer < 0 || peer >= size()) {
    throw Error(ErrorKind::internal,
                std::string(op) + ": rank " + std::to_string(peer) + " is not in a group of " + std::to_string(size()));
  }
  std::shared_ptr<MessageQueue>& queue = queues[static_cast<size_t>(peer)];
  if (queue == nullptr) queue = engine_->make_queue(group_, kOneWayChannel, 0);
  return *queue;
}

std::unique_ptr<Communicator> HostCommunicator::split(int color, int key, const std::string& name, GroupUse use) {
  std::array<int64_t, 3> own = {color, key, engine_->next_group()};
  std::vector<int64_t> all(own.size() * group_->world_ranks.size());
  const View input = view_of(std::span<int64_t>(own), {static_cast<int64_t>(own.size())});
  const View output = view_of(std::span<int64_t>(all), {static_cast<int64_t>(all.size())});
  const CollectiveCall call{.op = CollectiveOp::all_gather, .input = input, .output = output};
  engine_->start(*collectives_, group_, call, "split").wait();

  std::vector<SplitChoice> choices;
  int id = 0;  // one that is new to every rank; groups of one split are disjoint and may share it
  for (size_t rank = 0; rank < group_->world_ranks.size(); ++rank) {
    choices.push_back({.color = static_cast<int>(all[3 * rank]), .key = static_cast<int>(all[3 * rank + 1])});
    id = std::max(id, static_cast<int>(all[3 * rank + 2]));
  }
  engine_->claim_group(id);
  const std::vector<int> members = split_members(choices, group_->rank);
  std::vector<int> world_ranks;
  for (int member : members) world_ranks.push_back(group_->world_ranks[static_cast<size_t>(member)]);
  const auto own_place = std::ranges::find(members, group_->rank) - members.begin();
  auto group = std::make_shared<MessageGroup>(id, static_cast<int>(own_place), std::move(world_ranks), name, use);
  return std::unique_ptr<Communicator>(new HostCommunicator(engine_, std::move(group)));
}

std::vector<int> split_members(const std::vector<SplitChoice>& choices, int rank) {
  std::vector<int> members;
  for (size_t other = 0; other < choices.size(); ++other) {
    if (choices[other].color == choices[static_cast<size_t>(rank)].color) members.push_back(static_cast<int>(other));
  }
  std::ranges::stable_sort(members, {}, [&](int member) { return choices[static_cast<size_t>(member)].key; });
  return members;
}

}  // namespace trireme::runtime
