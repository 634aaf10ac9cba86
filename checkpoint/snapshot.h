// The memory between training and the thread that writes: training copies its slices in, piece by piece, and goes on;
// the thread takes the pieces out in the same order. With room for all of them training never waits; with less it waits
// for the disk, and memory stays bounded. Slices may lie on a GPU; the copy is on the host.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>

#include "checkpoint/shard_writer.h"
#include "checkpoint/tensor_slice.h"
#include "runtime/arena.h"
#include "runtime/stream.h"

namespace trireme::checkpoint {

class Snapshot : public SliceBytes {
 public:
  static constexpr int64_t kPieceBytes = int64_t{4} << 20;
  /// Four pieces: one is copied in and one written at a time.
  static constexpr int64_t kSmallestBytes = 4 * kPieceBytes;

  /// Takes `capacity_bytes`, once: as many as the slices of a save have for training that never waits; else
  /// kSmallestBytes at least.
  explicit Snapshot(int64_t capacity_bytes);

  /// Training thread: copies the slices in and returns when all are in, waiting for room where there is none; earlier
  /// when the other side gave up.
  void copy_in(runtime::Stream& stream, std::span<const TensorSlice> slices);

  /// Writing thread.
  std::span<const std::byte> next() override;
  /// Writing thread: takes no more pieces.
  void give_up();

  /// Empty again, for the next save; neither side is at it.
  void reset();

 private:
  struct Piece {
    int64_t begin = 0;
    int64_t bytes = 0;
  };

  /// Where so many bytes can be put now: behind the newest piece, or at the start; -1: nowhere yet. Under the mutex.
  int64_t room_for(int64_t bytes) const;
  std::byte* at(int64_t begin) const { return static_cast<std::byte*>(memory_.data()) + begin; }

  runtime::HostMemory memory_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;  ///< in order; the first may be in the writer's hands
  bool first_is_out_ = false;
  bool given_up_ = false;
};

}  // namespace trireme::checkpoint
