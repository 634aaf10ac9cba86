// How often each piece of a corpus occurs: what a vocabulary is learned from. One object for each thread that reads
// text, added together at the end. It keeps the distinct pieces only, their bytes in large blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "data/splitter.h"

namespace trireme::data {

struct PieceCount {
  std::string_view piece;
  int64_t count = 0;
  bool operator==(const PieceCount&) const = default;
};

/// Each distinct piece takes 32 bytes and two to four slots of 8, and its own bytes when they are more than 16; 2^31
/// pieces at most. Not for several threads at once.
class PieceCounts {
 public:
  /// Counts the pieces of a text. Parts of a long text come on their own, cut where no piece crosses (safe_cut.h).
  void add_text(const Splitter& splitter, std::string_view text);
  /// A piece that occurs `count` times more; not empty, and shorter than 2^32 bytes.
  void add(std::string_view piece, int64_t count = 1);
  /// Adds all counts of `other`.
  void merge(const PieceCounts& other);

  int64_t distinct() const { return static_cast<int64_t>(entries_.size()); }
  /// All pieces in order of their bytes, so that the same corpus gives the same list however it came. The views live
  /// until something is added.
  std::vector<PieceCount> sorted() const;

 private:
  /// A piece of at most 16 bytes is in its words, filled up with zeros: no other memory is touched to compare it. Of a
  /// longer one they are half of its hash, and where its bytes are.
  struct Key {
    uint64_t words[2];
    uint32_t size;
    uint32_t hash;
  };
  struct Entry {
    Key key;
    int64_t count;
  };
  /// Of a hash table with linear probing, at most half full; a piece's slot is its hash modulo the slots, or behind.
  struct Slot {
    uint32_t entry = 0;  // one more than the index in entries_; 0: free
    uint32_t hash = 0;
  };

  static void make_key(std::string_view piece, Key& key);  // in place: a copy would wait for the stores
  static std::string_view piece_of(const Entry& entry);
  void add(const Key& key, int64_t count);
  void grow();
  const char* keep(std::string_view piece);

  std::vector<Entry> entries_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<char[]>> blocks_;  // of the pieces' bytes
  char* free_ = nullptr;                         // in the last block
  size_t free_bytes_ = 0;
  std::vector<uint32_t> ends_;  // of one text, kept for the next
};

}  // namespace trireme::data
