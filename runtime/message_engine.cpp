#include "runtime/message_engine.h"

#include <algorithm>
#include <cstring>

#include "runtime/error.h"

namespace trireme::runtime {

bool MessageOperation::done() {
  if (engine_ != nullptr) engine_->progress();
  return engine_ == nullptr;
}

void MessageOperation::wait() {
  if (engine_ != nullptr) engine_->wait(*this);
  if (failure_) std::rethrow_exception(failure_);
}

void MessageOperation::abandon() noexcept {
  if (engine_ == nullptr) return;
  engine_->fail(std::make_exception_ptr(
      Error(ErrorKind::peer, std::string(name(call_.op)) + " on group " + group_->ledger.group() +
                                 " was abandoned after an earlier failure of this rank")));
}

MessageEngine::MessageEngine(std::unique_ptr<Transport> transport, const MessageOptions& options)
    : transport_(std::move(transport)), options_(options) {
  if (options.window < 1 || options.window > MessageQueue::kMaxWindow || options.chunk_bytes < 1) {
    throw Error(ErrorKind::internal, "messages: a window of " + std::to_string(options.window) + " chunks of " +
                                         std::to_string(options.chunk_bytes) + " bytes is not possible");
  }
}

MessageEngine::~MessageEngine() {
  if (idle()) return;  // the transport parts in order
  fail(std::make_exception_ptr(Error(ErrorKind::internal, "the communicators were destroyed before wait()")));
}

std::shared_ptr<MessageQueue> MessageEngine::make_queue(std::shared_ptr<MessageGroup> group, int channel,
                                                        int64_t staging) {
  queues_.push_back(std::make_shared<MessageQueue>(*this, std::move(group), channel, staging));
  return queues_.back();
}

void MessageEngine::claim_group(int id) {
  if (id > transport_->max_group()) {
    throw Error(ErrorKind::internal,
                "split: this transport has room for " + std::to_string(transport_->max_group() + 1) + " groups");
  }
  next_group_ = std::max(next_group_, id + 1);
}

std::shared_ptr<MessageOperation> MessageEngine::fresh_operation() {
  for (const auto& operation : spare_) {
    if (operation.use_count() == 1) return operation;  // only this list still knows it
  }
  spare_.push_back(std::make_shared<MessageOperation>());
  return spare_.back();
}

Pending MessageEngine::start(MessageQueue& queue, std::shared_ptr<MessageGroup> group, const CollectiveCall& call,
                             std::string_view op) {
  if (failure_) std::rethrow_exception(failure_);
  const GroupPlace place = group->place();
  const CollectivePlan plan = checked_plan(call, place, options_.chunk_bytes);
  const DType dtype = dtype_of_call(call);
  const bool one_way = call.op == CollectiveOp::send || call.op == CollectiveOp::recv;
  const bool sends_messages = place.size > 1 || one_way;
  std::shared_ptr<MessageOperation> operation;
  if (sends_messages) {  // all memory is taken first: a call that throws has changed nothing
    operation = fresh_operation();
    queue.reserve();
  }
  recorder_.tick();
  CommCall entered{.op = op,
                   .elements = plan.spec().elements,
                   .dtype = dtype,
                   .position = queue.posted(),
                   .peer = one_way ? group->world_ranks[static_cast<size_t>(call.peer)] : -1};
  const Traffic sent = sent_traffic(plan);
  entered.sequence = group->ledger.enter(entered, sent);

  const LocalCopy copy = plan.local_copy();
  const auto* from = static_cast<const std::byte*>(call.input.data) + copy.input_begin * size_bytes(dtype);
  auto* to = static_cast<std::byte*>(call.output.data) + copy.output_begin * size_bytes(dtype);
  if (copy.elements > 0 && from != to) std::memcpy(to, from, static_cast<size_t>(copy.elements * size_bytes(dtype)));

  if (!sends_messages) {
    group->ledger.leave(entered.sequence);
    return {};
  }
  operation->traced_ = Trace::kNone;
  if (recorder_.trace() != nullptr) operation->traced_ = recorder_.trace()->enter(entered, group->id, sent.bytes);
  operation->engine_ = this;
  operation->group_ = std::move(group);
  operation->call_ = call;
  operation->plan_ = plan;
  operation->entered_ = entered;
  operation->next_lane_ = -1;
  operation->lanes_left_ = plan.lanes() + 1;
  operation->failure_ = nullptr;
  queue.post(operation);
  progress();
  return Pending(std::move(operation));
}

bool MessageEngine::advance() {
  bool moved = false;
  for (const auto& queue : queues_) {
    if (!queue->idle()) moved = queue->advance() || moved;
  }
  return moved;
}

void MessageEngine::progress() {
  if (in_flight_ == 0) return;
  try {
    advance();
  } catch (...) {
    fail(std::current_exception());
  }
}

void MessageEngine::wait(MessageOperation& operation) {
  bool waits = false;
  while (operation.engine_ != nullptr) {
    try {
      if (advance() || operation.engine_ == nullptr) continue;
      if (!waits) recorder_.wait_for(*operation.group_, operation.entered_);
      waits = true;
      transport_->wait_for_change();
    } catch (...) {
      fail(std::current_exception());
    }
  }
  if (waits) recorder_.end_wait();
  // Queues of communicators that are gone.
  std::erase_if(queues_, [](const auto& queue) { return queue.use_count() == 1 && queue->idle(); });
}

void MessageEngine::fail(std::exception_ptr failure) noexcept {
  if (failure_) return;
  failure_ = std::move(failure);
  transport_->abandon();
  try {
    recorder_.keep_groups();
  } catch (...) {  // out of memory: others then learn less
  }
  for (const auto& queue : queues_) queue->fail(failure_);
  in_flight_ = 0;
}

}  // namespace trireme::runtime
