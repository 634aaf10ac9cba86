#include "runtime/local_transport.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <vector>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

/// A send on its way. It belongs to the sender; while it lies in a mailbox, that mailbox's mutex guards it.
struct Envelope {
  std::span<const std::byte> bytes;
  MessageTag tag;
  std::atomic<bool> taken = false;
};

/// From one rank to one other.
struct Mailbox {
  std::mutex mutex;
  std::vector<Envelope*> envelopes;
  std::atomic<int> count = 0;  ///< lets a receiver pass an empty mailbox without the lock
};

/// Wakes one rank.
struct Bell {
  std::mutex mutex;
  std::condition_variable rung;
  uint64_t count = 0;

  void ring() {
    {
      std::lock_guard lock(mutex);
      ++count;
    }
    rung.notify_one();
  }
};

}  // namespace

struct LocalWorld::State {
  explicit State(int ranks) : size(ranks), mailboxes(static_cast<size_t>(ranks * ranks)), bells(ranks), left(ranks) {}

  Mailbox& mailbox(int from, int to) { return mailboxes[static_cast<size_t>(from * size + to)]; }
  Bell& bell(int rank) { return bells[static_cast<size_t>(rank)]; }
  std::atomic<bool>& has_left(int rank) { return left[static_cast<size_t>(rank)]; }
  void ring_all() {
    for (Bell& bell : bells) bell.ring();
  }

  int size;
  std::vector<Mailbox> mailboxes;
  std::vector<Bell> bells;
  std::vector<std::atomic<bool>> left;
  std::mutex failure_mutex;
  std::string failure;  ///< written once, before failed
  std::atomic<bool> failed = false;
};

namespace {

class LocalTransport : public Transport {
 public:
  LocalTransport(std::shared_ptr<LocalWorld> world, int rank)
      : world_(std::move(world)), state_(world_->state()), rank_(rank) {}

  ~LocalTransport() override {
    LocalTransport::abandon();
    state_.has_left(rank_) = true;
    state_.ring_all();
  }

  int rank() const override { return rank_; }
  int size() const override { return state_.size; }
  int max_group() const override { return std::numeric_limits<int>::max(); }

  Request post_send(std::span<const std::byte> bytes, int peer, const MessageTag& tag) override {
    const Request request = new_request();
    Slot& slot = slot_of(request);
    slot.peer = peer;
    slot.is_send = true;
    slot.envelope.bytes = bytes;
    slot.envelope.tag = tag;
    slot.envelope.taken = false;
    Mailbox& mailbox = state_.mailbox(rank_, peer);
    {
      std::lock_guard lock(mailbox.mutex);
      mailbox.envelopes.push_back(&slot.envelope);
      ++mailbox.count;
    }
    state_.bell(peer).ring();
    return request;
  }

  Request post_recv(std::span<std::byte> bytes, int peer, const MessageTag& tag) override {
    const Request request = new_request();
    Slot& slot = slot_of(request);
    slot.peer = peer;
    slot.is_send = false;
    slot.to = bytes;
    slot.tag = tag;
    return request;
  }

  bool test(Request request) override {
    check_failure();
    Slot& slot = slot_of(request);
    const bool peer_left = state_.has_left(slot.peer);  // read before looking: what it sent earlier still counts
    if (slot.is_send ? slot.envelope.taken.load() : take(slot)) {
      slot.busy = false;
      free_.push_back(request);
      return true;
    }
    if (peer_left) {
      throw Error(ErrorKind::peer, "rank " + std::to_string(slot.peer) + " left before " +
                                       (slot.is_send ? "it received " : "it sent ") + "what rank " +
                                       std::to_string(rank_) + (slot.is_send ? " sends it" : " waits for"));
    }
    return false;
  }

  void wait_for_change() override {
    {
      Bell& bell = state_.bell(rank_);
      std::unique_lock lock(bell.mutex);
      bell.rung.wait(lock, [&] { return bell.count != heard_; });
      heard_ = bell.count;
    }
    check_failure();
  }

  void abandon() noexcept override {
    for (Slot& slot : slots_) {
      if (!slot.busy) continue;
      slot.busy = false;
      if (!slot.is_send) continue;
      Mailbox& mailbox = state_.mailbox(rank_, slot.peer);
      std::lock_guard lock(mailbox.mutex);  // a receiver that is copying holds it until it is done
      mailbox.count -= static_cast<int>(std::erase(mailbox.envelopes, &slot.envelope));
    }
  }

 private:
  struct Slot {
    bool busy = true;
    bool is_send = false;
    int peer = 0;
    std::span<std::byte> to;
    MessageTag tag;
    Envelope envelope;
  };

  Slot& slot_of(Request request) { return slots_[static_cast<size_t>(request)]; }

  Request new_request() {
    if (free_.empty()) {
      slots_.emplace_back();
      return static_cast<Request>(slots_.size()) - 1;
    }
    const Request request = free_.back();
    free_.pop_back();
    slot_of(request).busy = true;
    return request;
  }

  void check_failure() {
    if (!state_.failed) return;
    std::lock_guard lock(state_.failure_mutex);
    throw Error(ErrorKind::peer, state_.failure);
  }

  /// Copies the first message of that tag, if one is there.
  bool take(const Slot& slot) {
    Mailbox& mailbox = state_.mailbox(slot.peer, rank_);
    if (mailbox.count == 0) return false;
    {
      std::lock_guard lock(mailbox.mutex);
      const auto found =
          std::ranges::find_if(mailbox.envelopes, [&](const Envelope* envelope) { return envelope->tag == slot.tag; });
      if (found == mailbox.envelopes.end()) return false;
      Envelope& envelope = **found;
      if (envelope.bytes.size() != slot.to.size()) {
        throw Error(ErrorKind::mismatch, "rank " + std::to_string(slot.peer) + " sent " +
                                             std::to_string(envelope.bytes.size()) + " bytes where rank " +
                                             std::to_string(rank_) + " expects " + std::to_string(slot.to.size()));
      }
      if (!slot.to.empty()) std::memcpy(slot.to.data(), envelope.bytes.data(), slot.to.size());
      mailbox.envelopes.erase(found);
      --mailbox.count;
      envelope.taken = true;
    }
    state_.bell(slot.peer).ring();
    return true;
  }

  std::shared_ptr<LocalWorld> world_;  // with the other ranks: mailboxes outlive the first to leave
  LocalWorld::State& state_;
  int rank_;
  uint64_t heard_ = 0;
  std::deque<Slot> slots_;  // a deque: mailboxes point into it
  std::vector<Request> free_;
};

}  // namespace

LocalWorld::LocalWorld(int size) : state_(std::make_unique<State>(size)) {}
LocalWorld::~LocalWorld() = default;

void LocalWorld::fail(int rank, const std::string& reason) {
  {
    std::lock_guard lock(state_->failure_mutex);
    if (state_->failed) return;
    state_->failure = "rank " + std::to_string(rank) + " failed: " + reason;
    state_->failed = true;
  }
  state_->ring_all();
}

std::unique_ptr<Transport> local_transport(std::shared_ptr<LocalWorld> world, int rank) {
  return std::make_unique<LocalTransport>(std::move(world), rank);
}

}  // namespace trireme::runtime
