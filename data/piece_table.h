// Pieces of text that are one token, found by one look: short ones (nearly all) lie whole in their slot.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace trireme::data {

class PieceTable {
 public:
  struct Entry {
    std::string_view bytes;  ///< not empty; must outlive the table
    int32_t id = 0;
  };

  /// No piece twice; ids within the vocabulary's limit.
  explicit PieceTable(const std::vector<Entry>& entries);

  /// The id of `piece`, or -1. `readable` bytes from its beginning may be read, at least its own.
  int32_t find(std::string_view piece, size_t readable) const {
    if (piece.size() > kShortBytes) return piece.size() > longest_ ? -1 : find_long(piece);
    const Slot key = key_of(piece, readable);
    for (size_t at = slot_of(key);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.low == key.low && ((slot.high ^ key.high) & ~kIdMask) == 0) return id_of(slot);
      if (slot.high == 0) return -1;
    }
  }

 private:
  static constexpr size_t kShortBytes = 13;
  static constexpr int kIdShift = 40;
  static constexpr uint64_t kIdMask = uint64_t{0xFFFFF} << kIdShift;

  /// Bytes 0-7; bytes 8-12, then 20 bits of id, then 4 of length, which is 0 in a slot that is free. Little endian.
  struct Slot {
    uint64_t low;
    uint64_t high;
  };

  static int32_t id_of(const Slot& slot) { return static_cast<int32_t>((slot.high & kIdMask) >> kIdShift); }

  static Slot key_of(std::string_view piece, size_t readable) {
    Slot key = {};
    if (readable >= sizeof(Slot)) {  // two loads and a mask; else a text's last bytes, one by one
      std::memcpy(&key, piece.data(), sizeof(Slot));
      const Slot& mask = kMasks[piece.size()];
      key.low &= mask.low;
      key.high &= mask.high;
    } else {
      std::memcpy(&key, piece.data(), piece.size());
    }
    key.high |= static_cast<uint64_t>(piece.size()) << 60;
    return key;
  }

  size_t slot_of(const Slot& key) const {
    uint64_t hash = key.low * 0x9E3779B97F4A7C15;
    hash = ((hash ^ (hash >> 32)) + key.high) * 0xD6E8FEB86659FD93;
    return static_cast<size_t>(hash >> shift_);
  }

  int32_t find_long(std::string_view piece) const;

  static const std::array<Slot, kShortBytes + 1> kMasks;  // by length

  std::vector<Slot> slots_;  // at most half full, linear probing
  int shift_;
  std::vector<Entry> long_slots_;  // the same; an empty view is a free slot
  size_t longest_ = 0;             // bytes
};

}  // namespace trireme::data
