#include "runtime/communicator.h"

#include <algorithm>

#include "runtime/collective_call.h"
#include "runtime/host_communicator.h"
#include "runtime/local_transport.h"
#include "runtime/log.h"

namespace trireme::runtime {

Pending& Pending::operator=(Pending&& other) noexcept {
  Pending old(std::move(*this));  // waits at the end of this scope
  operation_ = std::move(other.operation_);
  return *this;
}

Pending::~Pending() {
  if (operation_ == nullptr) return;
  if (std::uncaught_exceptions() > exceptions_at_start_) {  // this rank is failing: waiting could take for ever
    operation_->abandon();
    return;
  }
  try {
    operation_->wait();
  } catch (const std::exception& error) {
    log_error("a message that nobody waited for failed: " + std::string(error.what()));
  }
}

void Pending::wait() {
  if (operation_ == nullptr) return;
  const std::shared_ptr<Operation> operation = std::move(operation_);
  operation_ = nullptr;
  operation->wait();
}

Pending Communicator::all_reduce(View buffer, ReduceOp op) {
  return start({.op = CollectiveOp::all_reduce, .input = buffer, .output = buffer, .reduce = op});
}

Pending Communicator::reduce_scatter(ConstView input, View output, ReduceOp op) {
  return start({.op = CollectiveOp::reduce_scatter, .input = input, .output = output, .reduce = op});
}

Pending Communicator::all_gather(ConstView input, View output) {
  return start({.op = CollectiveOp::all_gather, .input = input, .output = output});
}

Pending Communicator::all_to_all(ConstView input, View output) {
  return start({.op = CollectiveOp::all_to_all, .input = input, .output = output});
}

Pending Communicator::broadcast(View buffer, int root) {
  return start({.op = CollectiveOp::broadcast, .input = buffer, .output = buffer, .peer = root});
}

Pending Communicator::send(ConstView buffer, int peer) {
  return start({.op = CollectiveOp::send, .input = buffer, .peer = peer});
}

Pending Communicator::recv(View buffer, int peer) {
  return start({.op = CollectiveOp::recv, .output = buffer, .peer = peer});
}

Pending Communicator::barrier() {
  return start({.op = CollectiveOp::barrier});
}

std::unique_ptr<Communicator> solo_communicator() {
  return std::make_unique<HostCommunicator>(local_transport(std::make_shared<LocalWorld>(1), 0), MessageOptions{});
}

std::vector<std::string> all_gather_bytes(Communicator& communicator, const std::string& bytes) {
  const auto P = static_cast<size_t>(communicator.size());
  int64_t own_size = static_cast<int64_t>(bytes.size());
  std::vector<int64_t> sizes(P);
  communicator
      .all_gather(view_of(std::span<int64_t>(&own_size, 1), {1}),
                  view_of(std::span<int64_t>(sizes), {static_cast<int64_t>(P)}))
      .wait();

  const auto longest = static_cast<size_t>(*std::ranges::max_element(sizes));
  std::vector<uint8_t> own(longest);
  std::ranges::copy(bytes, own.begin());
  std::vector<uint8_t> all(P * longest);
  communicator
      .all_gather(view_of(std::span<uint8_t>(own), {static_cast<int64_t>(own.size())}),
                  view_of(std::span<uint8_t>(all), {static_cast<int64_t>(all.size())}))
      .wait();

  std::vector<std::string> texts;
  for (size_t rank = 0; rank < P; ++rank) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(rank * longest);
    texts.emplace_back(begin, begin + sizes[rank]);
  }
  return texts;
}

void send_bytes(Communicator& communicator, const std::string& bytes, int peer) {
  auto size = static_cast<int64_t>(bytes.size());
  communicator.send(view_of(std::span<int64_t>(&size, 1), {1}), peer).wait();
  if (bytes.empty()) return;
  const std::span all(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  communicator.send(view_of(all, {size}), peer).wait();
}

std::string recv_bytes(Communicator& communicator, int peer) {
  int64_t size = 0;
  communicator.recv(view_of(std::span<int64_t>(&size, 1), {1}), peer).wait();
  std::string bytes(static_cast<size_t>(size), '\0');
  if (bytes.empty()) return bytes;
  const std::span all(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size());
  communicator.recv(view_of(all, {size}), peer).wait();
  return bytes;
}

}  // namespace trireme::runtime
