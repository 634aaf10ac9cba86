#include "data/piece_counts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>
#include <span>

#include "runtime/digest.h"
#include "runtime/error.h"

namespace trireme::data {
namespace {

static_assert(std::endian::native == std::endian::little);  // make_key, piece_of

constexpr size_t kBlockBytes = size_t{1} << 20;
constexpr size_t kInKey = 16;        // bytes
constexpr size_t kPiecesAhead = 32;  // of which the memory is asked for before it is needed

template <typename Word>
uint64_t load(const char* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Up to 8 bytes, as if zeros followed. Reads none beyond them.
uint64_t load_few(const char* bytes, size_t size) {
  if (size >= 4) return load<uint32_t>(bytes) | load<uint32_t>(bytes + size - 4) >> (8 * (8 - size)) << 32;
  const auto byte = [&](size_t i) { return uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i); };
  return byte(0) | byte(size / 2) | byte(size - 1);
}

/// Multiplies and folds, so that each bit of both words reaches the upper half of the second product.
uint32_t mix(uint64_t first, uint64_t second, uint64_t size) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  uint64_t hash = (first ^ size) * kOdd;
  hash = (hash ^ hash >> 32 ^ second) * kOdd;
  hash = (hash ^ hash >> 32) * kOdd;
  return static_cast<uint32_t>(hash >> 32);
}

}  // namespace

void PieceCounts::make_key(std::string_view piece, Key& key) {
  const char* const bytes = piece.data();
  const auto size = static_cast<uint32_t>(piece.size());
  uint64_t first = 0;
  uint64_t second = 0;
  key.size = size;
  if (size > kInKey) {
    const runtime::Hash128 hash = runtime::xxh3_128(std::as_bytes(std::span(piece)));
    first = hash.low;
    second = std::bit_cast<uint64_t>(bytes);
    key.hash = static_cast<uint32_t>(hash.high);
  } else {
    first = size < 8 ? load_few(bytes, size) : load<uint64_t>(bytes);
    if (size > 8) second = load<uint64_t>(bytes + size - 8) >> (8 * (16 - size));
    key.hash = mix(first, second, size);
  }
  key.words[0] = first;
  key.words[1] = second;
}

std::string_view PieceCounts::piece_of(const Entry& entry) {
  const char* const bytes = entry.key.size <= kInKey ? reinterpret_cast<const char*>(entry.key.words)
                                                     : std::bit_cast<const char*>(entry.key.words[1]);
  return {bytes, entry.key.size};
}

void PieceCounts::add_text(const Splitter& splitter, std::string_view text) {
  ends_.clear();
  splitter.split(text, ends_);
  std::array<Key, kPiecesAhead> keys;
  uint32_t begin = 0;
  for (size_t done = 0; done < ends_.size(); done += kPiecesAhead) {
    const std::span<Key> ahead = std::span(keys).first(std::min(kPiecesAhead, ends_.size() - done));
    if (2 * (entries_.size() + kPiecesAhead) >= slots_.size()) grow();
    for (size_t i = 0; i < ahead.size(); ++i) {
      make_key(text.substr(begin, ends_[done + i] - begin), ahead[i]);
      begin = ends_[done + i];
      __builtin_prefetch(&slots_[ahead[i].hash & (slots_.size() - 1)]);
    }
    for (const Key& key : ahead) {
      const uint32_t entry = slots_[key.hash & (slots_.size() - 1)].entry;
      if (entry != 0) __builtin_prefetch(&entries_[entry - 1]);
    }
    for (const Key& key : ahead) add(key, 1);
  }
}

void PieceCounts::add(std::string_view piece, int64_t count) {
  assert(!piece.empty() && piece.size() <= std::numeric_limits<uint32_t>::max());
  Key key;
  make_key(piece, key);
  add(key, count);
}

void PieceCounts::add(const Key& key, int64_t count) {
  if (2 * entries_.size() >= slots_.size()) grow();
  const size_t mask = slots_.size() - 1;
  size_t at = key.hash & mask;
  for (; slots_[at].entry != 0; at = (at + 1) & mask) {
    if (slots_[at].hash != key.hash) continue;
    Entry& entry = entries_[slots_[at].entry - 1];
    if (entry.key.size != key.size || entry.key.words[0] != key.words[0]) continue;
    if (key.size <= kInKey ? entry.key.words[1] == key.words[1] : piece_of(entry) == piece_of({key, 0})) {
      entry.count += count;
      return;
    }
  }
  entries_.push_back({key, count});
  if (key.size > kInKey) entries_.back().key.words[1] = std::bit_cast<uint64_t>(keep(piece_of({key, 0})));
  slots_[at] = {static_cast<uint32_t>(entries_.size()), key.hash};
}

void PieceCounts::merge(const PieceCounts& other) {
  for (const Entry& entry : other.entries_) add(entry.key, entry.count);
}

std::vector<PieceCount> PieceCounts::sorted() const {
  std::vector<PieceCount> list;
  list.reserve(entries_.size());
  for (const Entry& entry : entries_) list.push_back({piece_of(entry), entry.count});
  std::ranges::sort(list, {}, &PieceCount::piece);
  return list;
}

void PieceCounts::grow() {
  if (entries_.size() >= std::numeric_limits<uint32_t>::max() / 2) {
    throw runtime::Error(runtime::ErrorKind::data, "the text has over 2 billion different pieces: train on less of it");
  }
  std::vector<Slot> slots(std::max<size_t>(1024, 2 * slots_.size()));
  const size_t mask = slots.size() - 1;
  for (size_t entry = 0; entry < entries_.size(); ++entry) {
    size_t at = entries_[entry].key.hash & mask;
    while (slots[at].entry != 0) at = (at + 1) & mask;
    slots[at] = {static_cast<uint32_t>(entry + 1), entries_[entry].key.hash};
  }
  slots_ = std::move(slots);
}

const char* PieceCounts::keep(std::string_view piece) {
  if (piece.size() > free_bytes_) {
    free_bytes_ = std::max(kBlockBytes, piece.size());
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(free_bytes_));
    free_ = blocks_.back().get();
  }
  char* const place = free_;
  std::memcpy(place, piece.data(), piece.size());
  free_ += piece.size();
  free_bytes_ -= piece.size();
  return place;
}

}  // namespace trireme::data
