#include <algorithm>

#include "runtime/error.h"
#include "runtime/message_engine.h"

namespace trireme::runtime {
namespace {

/// A chunk is one element at least, however short the chunks are; buffers begin at cache lines.
int64_t slot_bytes(const MessageOptions& options) {
  return (options.chunk_bytes + Arena::kAlignmentBytes - 1) / Arena::kAlignmentBytes * Arena::kAlignmentBytes;
}

std::string described(const CallHeader& header) {
  const auto op = static_cast<CollectiveOp>(header.op);
  std::string text = std::string(op == CollectiveOp::send ? "message" : name(op)) + " #" +
                     std::to_string(header.sequence) + " of " + std::to_string(header.elements) + " " +
                     std::string(name(static_cast<DType>(header.dtype)));
  if (op == CollectiveOp::all_reduce || op == CollectiveOp::reduce_scatter) {
    text += " (" + std::string(name(static_cast<ReduceOp>(header.reduce))) + ")";
  }
  if (op == CollectiveOp::broadcast) text += " from rank " + std::to_string(header.root) + " of the group";
  return text;
}

CallHeader header_of(const CollectiveCall& call, const CollectivePlan& plan, int64_t sequence) {
  const bool reduces = plan.reduces();
  const bool one_way = call.op == CollectiveOp::send || call.op == CollectiveOp::recv;  // both sides say "send"
  return {.sequence = sequence,
          .elements = plan.spec().elements,
          .op = static_cast<int32_t>(one_way ? CollectiveOp::send : call.op),
          .dtype = static_cast<int32_t>(dtype_of_call(call)),
          .reduce = reduces ? static_cast<int32_t>(call.reduce) : 0,
          .root = call.op == CollectiveOp::broadcast ? call.peer : 0};
}

}  // namespace

int64_t staging_bytes(const MessageOptions& options, int group_size, GroupUse use) {
  return group_size == 1 || use == GroupUse::messages ? 0 : 2 * options.window * slot_bytes(options);
}

MessageQueue::MessageQueue(MessageEngine& engine, std::shared_ptr<MessageGroup> group, int channel, int64_t staging)
    : engine_(engine), group_(std::move(group)), channel_(channel), staging_(staging) {}

void MessageQueue::post(std::shared_ptr<MessageOperation> operation) noexcept {
  operation->own_header_ = header_of(operation->call_, operation->plan_, posted_operations_++);
  operations_.push_back(std::move(operation));
  ++engine_.in_flight_;
}

bool MessageQueue::advance() {
  try {
    return advance_lanes();
  } catch (const Error&) {
    explain_by_headers();
    throw;
  }
}

bool MessageQueue::advance_lanes() {
  bool moved = false;
  for (size_t slot = 0; slot < static_cast<size_t>(engine_.options().window); ++slot) {
    Lane& lane = lanes_[slot];
    while (lane.operation != nullptr || start_lane(lane, slot)) {
      moved = advance_lane(lane) || moved;
      if (lane.operation != nullptr) break;
    }
  }
  return moved;
}

bool MessageQueue::start_lane(Lane& lane, size_t slot) {
  const auto next = std::ranges::find_if(
      operations_, [](const auto& operation) { return operation->next_lane_ < operation->plan_.lanes(); });
  if (next == operations_.end()) return false;
  lane.operation = *next;
  lane.index = lane.operation->next_lane_++;
  lane.step = 0;
  lane.tag = {.group = group_->id, .channel = channel_, .lane = started_lanes_++};
  if (staging_.data() != nullptr) {
    const int64_t bytes = slot_bytes(engine_.options());
    auto* base = static_cast<std::byte*>(staging_.data()) + 2 * static_cast<int64_t>(slot) * bytes;
    lane.staging = {base, base + bytes};
  }
  begin_step(lane);
  return true;
}

bool MessageQueue::advance_lane(Lane& lane) {
  Transport& transport = engine_.transport();
  bool moved = false;
  while (true) {
    for (Transport::Request* request : {&lane.recv, &lane.send}) {
      if (*request != Transport::kNone && transport.test(*request)) {
        *request = Transport::kNone;
        engine_.recorder().tick();
        moved = true;
      }
    }
    if (lane.send != Transport::kNone || lane.recv != Transport::kNone) return moved;
    if (finish_step(lane)) {
      end_lane(lane);
      return true;
    }
    begin_step(lane);
    moved = true;
  }
}

void MessageQueue::begin_step(Lane& lane) {
  if (lane.index < 0) {
    post_headers(lane);
  } else {
    lane.messages = lane.operation->plan_.step(lane.index, lane.step);
    post_messages(lane);
  }
}

/// True when the lane is at its end.
bool MessageQueue::finish_step(Lane& lane) {
  const MessageOperation& operation = *lane.operation;
  if (lane.index < 0) {
    const CollectiveSpec& spec = operation.plan_.spec();
    if (spec.op == CollectiveOp::recv) check_header(operation, spec.peer);
    if (channel_ == 0) check_header(operation, (spec.rank + spec.size - 1) % spec.size);
    return true;
  }
  const Step& step = lane.messages;
  if (step.reduce) {
    const CollectiveCall& call = operation.call_;
    const DType dtype = call.input.dtype;
    std::byte* received = lane.staging[static_cast<size_t>(lane.step % 2)];
    const auto* addend = static_cast<const std::byte*>(call.input.data) + step.addend_begin * size_bytes(dtype);
    std::byte* result = step.recv.place == Place::staging
                            ? received
                            : static_cast<std::byte*>(call.output.data) + step.recv.begin * size_bytes(dtype);
    combine(dtype, call.reduce, received, addend, result, step.recv.elements);
  }
  return ++lane.step == operation.plan_.steps_per_lane();
}

void MessageQueue::end_lane(Lane& lane) {
  const std::shared_ptr<MessageOperation> operation = std::move(lane.operation);
  lane.operation = nullptr;
  if (--operation->lanes_left_ > 0) return;
  std::erase(operations_, operation);
  group_->ledger.leave(operation->entered_.sequence);
  if (Trace* trace = engine_.recorder().trace()) trace->leave(operation->traced_);
  engine_.recorder().tick();
  --engine_.in_flight_;
  operation->engine_ = nullptr;
  operation->group_ = nullptr;
}

void MessageQueue::post_headers(Lane& lane) {
  MessageOperation& operation = *lane.operation;
  const CollectiveSpec& spec = operation.plan_.spec();
  const bool collective = channel_ == 0;
  Transport& transport = engine_.transport();
  if (collective || spec.op == CollectiveOp::recv) {
    const int from = collective ? (spec.rank + spec.size - 1) % spec.size : spec.peer;
    lane.recv = transport.post_recv(std::as_writable_bytes(std::span(&operation.peer_header_, 1)),
                                    group_->world_ranks[static_cast<size_t>(from)], lane.tag);
  }
  if (collective || spec.op == CollectiveOp::send) {
    const int to = collective ? (spec.rank + 1) % spec.size : spec.peer;
    lane.send = transport.post_send(std::as_bytes(std::span(&operation.own_header_, 1)),
                                    group_->world_ranks[static_cast<size_t>(to)], lane.tag);
  }
}

void MessageQueue::post_messages(Lane& lane) {
  const CollectiveCall& call = lane.operation->call_;
  const int64_t dtype_bytes = lane.operation->plan_.spec().dtype_bytes;
  const Step& step = lane.messages;
  const auto parity = static_cast<size_t>(lane.step % 2);
  Transport& transport = engine_.transport();
  if (step.recv.exists()) {
    std::byte* to = lane.staging[parity];
    if (!step.reduce) to = static_cast<std::byte*>(call.output.data) + step.recv.begin * dtype_bytes;
    lane.recv = transport.post_recv({to, static_cast<size_t>(step.recv.elements * dtype_bytes)},
                                    group_->world_ranks[static_cast<size_t>(step.recv.peer)], lane.tag);
  }
  if (step.send.exists()) {
    const auto* from = static_cast<const std::byte*>(lane.staging[1 - parity]);
    if (step.send.place != Place::staging) {
      const void* base = step.send.place == Place::input ? call.input.data : call.output.data;
      from = static_cast<const std::byte*>(base) + step.send.begin * dtype_bytes;
    }
    lane.send = transport.post_send({from, static_cast<size_t>(step.send.elements * dtype_bytes)},
                                    group_->world_ranks[static_cast<size_t>(step.send.peer)], lane.tag);
  }
}

void MessageQueue::check_header(const MessageOperation& operation, int peer) const {
  if (operation.own_header_ == operation.peer_header_) return;
  const auto world_rank = [&](int rank) { return std::to_string(group_->world_ranks[static_cast<size_t>(rank)]); };
  throw Error(ErrorKind::mismatch, "group " + group_->ledger.group() + ": rank " + world_rank(group_->rank) +
                                       " is at " + described(operation.own_header_) + ", rank " + world_rank(peer) +
                                       " at " + described(operation.peer_header_));
}

/// A message of the wrong size came; what its sender said first tells more.
void MessageQueue::explain_by_headers() {
  for (Lane& lane : lanes_) {
    if (lane.operation == nullptr || lane.index >= 0) continue;
    if (lane.recv == Transport::kNone || engine_.transport().test(lane.recv)) finish_step(lane);
  }
}

void MessageQueue::fail(const std::exception_ptr& failure) {
  for (Lane& lane : lanes_) lane = {};
  for (const auto& operation : operations_) {
    operation->failure_ = failure;
    operation->engine_ = nullptr;
    operation->group_ = nullptr;
  }
  operations_.clear();
}

}  // namespace trireme::runtime
