#include "data/piece_table.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace trireme::data {

static_assert(std::endian::native == std::endian::little);

const std::array<PieceTable::Slot, PieceTable::kShortBytes + 1> PieceTable::kMasks = [] {
  std::array<Slot, kShortBytes + 1> masks = {};
  for (size_t length = 0; length < masks.size(); ++length) std::memset(&masks[length], 0xFF, length);
  return masks;
}();

PieceTable::PieceTable(const std::vector<Entry>& entries) {
  const auto is_short = [](const Entry& entry) { return entry.bytes.size() <= kShortBytes; };
  const auto short_entries = static_cast<size_t>(std::count_if(entries.begin(), entries.end(), is_short));
  slots_.resize(std::bit_ceil(std::max<size_t>(16, 2 * short_entries)));
  shift_ = 64 - std::countr_zero(slots_.size());
  long_slots_.resize(std::bit_ceil(std::max<size_t>(16, 2 * (entries.size() - short_entries))));
  for (const Entry& entry : entries) {
    longest_ = std::max(longest_, entry.bytes.size());
    if (is_short(entry)) {
      Slot key = key_of(entry.bytes, entry.bytes.size());
      size_t at = slot_of(key);
      while (slots_[at].high != 0) at = (at + 1) & (slots_.size() - 1);
      key.high |= static_cast<uint64_t>(entry.id) << kIdShift;
      slots_[at] = key;
    } else {
      size_t at = std::hash<std::string_view>{}(entry.bytes) & (long_slots_.size() - 1);
      while (!long_slots_[at].bytes.empty()) at = (at + 1) & (long_slots_.size() - 1);
      long_slots_[at] = entry;
    }
  }
}

int32_t PieceTable::find_long(std::string_view piece) const {
  size_t at = std::hash<std::string_view>{}(piece) & (long_slots_.size() - 1);
  for (; !long_slots_[at].bytes.empty(); at = (at + 1) & (long_slots_.size() - 1)) {
    if (long_slots_[at].bytes == piece) return long_slots_[at].id;
  }
  return -1;
}

}  // namespace trireme::data
