#include "checkpoint/piece_reader.h"

#include <algorithm>
#include <vector>

namespace trireme::checkpoint {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;

}  // namespace

void read_in_pieces(runtime::File& file, const PieceRange& range,
                    const std::function<void(int64_t begin, std::span<const std::byte> piece)>& visit) {
  const bool direct = range.destination != nullptr;
  std::vector<std::byte> buffer(direct ? 0 : static_cast<size_t>(std::min(kPieceBytes, range.bytes)));
  for (int64_t begin = 0; begin < range.bytes; begin += kPieceBytes) {
    const int64_t count = std::min(kPieceBytes, range.bytes - begin);
    const std::span<std::byte> piece(direct ? range.destination + begin : buffer.data(), static_cast<size_t>(count));
    file.read_at(range.offset_bytes + begin, piece);
    visit(begin, piece);
  }
}

}  // namespace trireme::checkpoint
