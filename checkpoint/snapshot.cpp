#include "checkpoint/snapshot.h"

#include <algorithm>
#include <string>

#include "runtime/error.h"
#include "runtime/ops/elementwise.h"

namespace trireme::checkpoint {

Snapshot::Snapshot(int64_t capacity_bytes) : memory_(capacity_bytes) {}

int64_t Snapshot::room_for(int64_t bytes) const {
  if (bytes > memory_.bytes()) {
    throw runtime::Error(
        runtime::ErrorKind::internal,
        "a piece of " + std::to_string(bytes) + " bytes for a snapshot of " + std::to_string(memory_.bytes()));
  }
  if (pieces_.empty()) return 0;
  const int64_t oldest = pieces_.front().begin;
  const int64_t end = pieces_.back().begin + pieces_.back().bytes;
  if (end <= oldest) return oldest - end >= bytes ? end : -1;  // they go on from the start
  if (memory_.bytes() - end >= bytes) return end;
  return oldest >= bytes ? 0 : -1;
}

void Snapshot::copy_in(runtime::Stream& stream, std::span<const TensorSlice> slices) {
  for (const TensorSlice& slice : slices) {
    const int64_t element_bytes = runtime::size_bytes(slice.data.dtype);
    const int64_t elements = slice.data.elements();
    for (int64_t done = 0; done < elements;) {
      const int64_t count = std::min(elements - done, kPieceBytes / element_bytes);
      Piece piece{.begin = -1, .bytes = count * element_bytes};
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return given_up_ || (piece.begin = room_for(piece.bytes)) >= 0; });
        if (given_up_) return;
      }
      // Only this thread adds pieces, so the room stays.
      runtime::copy_to_host(stream, slice.data.range(done, {count}),
                            {at(piece.begin), static_cast<size_t>(piece.bytes)});
      {
        const std::lock_guard lock(mutex_);
        pieces_.push_back(piece);
      }
      changed_.notify_all();
      done += count;
    }
  }
}

std::span<const std::byte> Snapshot::next() {
  std::unique_lock lock(mutex_);
  if (first_is_out_) {
    pieces_.pop_front();
    first_is_out_ = false;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return given_up_ || !pieces_.empty(); });
  if (given_up_) throw runtime::Error(runtime::ErrorKind::internal, "the save was given up before all was copied");
  first_is_out_ = true;
  return {at(pieces_.front().begin), static_cast<size_t>(pieces_.front().bytes)};
}

void Snapshot::give_up() {
  {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
  }
  changed_.notify_all();
}

void Snapshot::reset() {
  pieces_.clear();
  first_is_out_ = false;
  given_up_ = false;
}

}  // namespace trireme::checkpoint
