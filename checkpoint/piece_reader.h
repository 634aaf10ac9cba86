// Reads a range of a file in pieces that the processor's cache holds: what loading a slice and scanning a file share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// A range of a file, and where it goes; null: through a buffer of one piece.
struct PieceRange {
  int64_t offset_bytes = 0;
  int64_t bytes = 0;
  std::byte* destination = nullptr;
};

/// `visit(begin, piece)` sees each piece, in order, with its first byte counted from the start of the range; pieces
/// begin at multiples of 1 MiB. Throws what File::read_at throws.
void read_in_pieces(runtime::File& file, const PieceRange& range,
                    const std::function<void(int64_t begin, std::span<const std::byte> piece)>& visit);

}  // namespace trireme::checkpoint
