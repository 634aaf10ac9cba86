#include "runtime/mpi_transport.h"

#include <mpi.h>
#include <sched.h>
#include <time.h>

#include <cassert>
#include <climits>
#include <string>
#include <vector>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

std::string mpi_message(int code) {
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  text.resize(static_cast<size_t>(length));
  return text;
}

/// A message that is longer than its buffer.
bool is_truncation(int code) {
  int error_class = MPI_SUCCESS;
  MPI_Error_class(code, &error_class);
  return error_class == MPI_ERR_TRUNCATE;
}

void check(int code, const std::string& what, std::source_location where = std::source_location::current()) {
  if (code != MPI_SUCCESS) throw Error(ErrorKind::peer, what + ": " + mpi_message(code), where);
}

// A tag is (group, channel, lane mod 2^10) from the highest bit down.
constexpr int kLaneBits = 10;
constexpr int kChannelBits = 1;

class MpiTransport : public Transport {
 public:
  MpiTransport() {
    check(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world_, &rank_);
    MPI_Comm_size(world_, &size_);
    int* highest_tag = nullptr;
    int known = 0;
    MPI_Comm_get_attr(world_, MPI_TAG_UB, static_cast<void*>(&highest_tag), &known);
    max_tag_ = known != 0 ? *highest_tag : 32767;  // the least that the standard allows
  }

  ~MpiTransport() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0 && !abandoned_) MPI_Comm_free(&world_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  /// The highest group whose tags all stay below the bound.
  int max_group() const override {
    return static_cast<int>((static_cast<int64_t>(max_tag_) + 1) >> (kLaneBits + kChannelBits)) - 1;
  }

  Request post_send(std::span<const std::byte> bytes, int peer, const MessageTag& tag) override {
    const Request request = new_request(peer, kNotReceived);
    check(MPI_Isend(bytes.data(), count_of(bytes.size()), MPI_BYTE, peer, tag_number(tag), world_,
                    &slot_of(request).handle),
          "send to rank " + std::to_string(peer));
    return request;
  }

  Request post_recv(std::span<std::byte> bytes, int peer, const MessageTag& tag) override {
    const Request request = new_request(peer, count_of(bytes.size()));
    check(MPI_Irecv(bytes.data(), count_of(bytes.size()), MPI_BYTE, peer, tag_number(tag), world_,
                    &slot_of(request).handle),
          "receive from rank " + std::to_string(peer));
    return request;
  }

  bool test(Request request) override {
    Slot& slot = slot_of(request);
    int done = 0;
    MPI_Status status;
    const int code = MPI_Test(&slot.handle, &done, &status);
    if (code != MPI_SUCCESS) refuse(slot, mpi_message(code), is_truncation(code));
    if (done == 0) return false;
    if (slot.expected_bytes != kNotReceived) {
      int received_bytes = 0;
      MPI_Get_count(&status, MPI_BYTE, &received_bytes);
      if (received_bytes != slot.expected_bytes) {
        refuse(slot, "got " + std::to_string(received_bytes) + " bytes", true);
      }
    }
    free_.push_back(request);
    idle_rounds_ = 0;
    return true;
  }

  /// Polls hard for some microseconds, then lets others run: there may be more ranks than cores.
  void wait_for_change() override {
    constexpr int kPolls = 50;
    constexpr int kYields = 1000;
    ++idle_rounds_;
    if (idle_rounds_ < kPolls) return;
    if (idle_rounds_ < kPolls + kYields) {
      sched_yield();
      return;
    }
    const timespec pause{.tv_sec = 0, .tv_nsec = 20'000};
    nanosleep(&pause, nullptr);
  }

  /// Sends cannot be taken back in MPI: the job must end now (MpiSession::abort).
  void abandon() noexcept override {
    abandoned_ = true;
    for (Slot& slot : slots_) {
      if (slot.handle == MPI_REQUEST_NULL) continue;
      if (slot.expected_bytes != kNotReceived) MPI_Cancel(&slot.handle);
      MPI_Request_free(&slot.handle);
    }
  }

 private:
  static constexpr int kNotReceived = -1;
  struct Slot {
    MPI_Request handle = MPI_REQUEST_NULL;
    int peer = 0;
    int expected_bytes = kNotReceived;
  };

  static int count_of(size_t bytes) {
    assert(bytes <= INT_MAX);  // messages are chunks
    return static_cast<int>(bytes);
  }

  static int tag_number(const MessageTag& tag) {
    const auto lane = static_cast<int>(tag.lane & ((1 << kLaneBits) - 1));
    return (((tag.group << kChannelBits) | tag.channel) << kLaneBits) | lane;
  }

  [[noreturn]] void refuse(const Slot& slot, const std::string& why, bool other_size) const {
    if (slot.expected_bytes == kNotReceived) {
      throw Error(ErrorKind::peer, "sending to rank " + std::to_string(slot.peer) + " failed: " + why);
    }
    throw Error(other_size ? ErrorKind::mismatch : ErrorKind::peer,
                "rank " + std::to_string(rank_) + " expects " + std::to_string(slot.expected_bytes) +
                    " bytes from rank " + std::to_string(slot.peer) + ": " + why);
  }

  Slot& slot_of(Request request) { return slots_[static_cast<size_t>(request)]; }

  Request new_request(int peer, int expected_bytes) {
    if (free_.empty()) {
      slots_.emplace_back();
      free_.push_back(static_cast<Request>(slots_.size()) - 1);
    }
    const Request request = free_.back();
    free_.pop_back();
    slot_of(request) = {.handle = MPI_REQUEST_NULL, .peer = peer, .expected_bytes = expected_bytes};
    return request;
  }

  MPI_Comm world_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  int max_tag_ = 0;
  int idle_rounds_ = 0;
  bool abandoned_ = false;
  std::vector<Slot> slots_;
  std::vector<Request> free_;
};

}  // namespace

std::unique_ptr<Transport> mpi_transport() {
  return std::make_unique<MpiTransport>();
}

}  // namespace trireme::runtime
