// Non-blocking messages between the ranks of the whole job. A transport moves bytes; it knows nothing of groups,
// collectives or element types. Messages between two ranks with equal tags arrive in the order of posting; buffers stay
// in use until test() says done. Used by one thread per rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::runtime {

/// Keeps groups, channels of a group (collectives; sends and recvs) and lanes in flight together apart. A transport may
/// wrap the lane modulo 1,024: messages whose lanes are that far apart are never in flight out of order.
struct MessageTag {
  int group = 0;
  int channel = 0;  ///< 0 or 1
  int64_t lane = 0;
  bool operator==(const MessageTag&) const = default;
};

class Transport {
 public:
  using Request = int;
  static constexpr Request kNone = -1;

  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Groups are numbered from 0 up to this.
  virtual int max_group() const = 0;

  virtual Request post_send(std::span<const std::byte> bytes, int peer, const MessageTag& tag) = 0;
  virtual Request post_recv(std::span<std::byte> bytes, int peer, const MessageTag& tag) = 0;
  /// True when done; the request is gone then. Throws Error(mismatch) when the message has another size, Error(peer)
  /// when it will never come.
  virtual bool test(Request request) = 0;
  /// Returns when a request may have changed since the last return, or after a short time. Throws Error(peer) when the
  /// job has failed elsewhere.
  virtual void wait_for_change() = 0;
  /// Forgets all requests; their buffers are the caller's again. The transport is of no use afterwards.
  virtual void abandon() noexcept = 0;
};

}  // namespace trireme::runtime
