// Byte-level BPE inside pieces of text. A piece that is a token costs one look into a table; in any other, the pairs of
// lowest rank are joined until none is left, in a time of n log n at most for n bytes. Where a text is cut into pieces,
// and what added tokens are, it does not know.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_vocabulary.h"
#include "data/pair_table.h"
#include "data/piece_table.h"

namespace trireme::data {

class BpeEncoder {
 public:
  /// A vocabulary that check_vocabulary refuses is its Error.
  explicit BpeEncoder(BpeVocabulary vocabulary);
  BpeEncoder(const BpeEncoder&) = delete;  // the tables look into the vocabulary
  BpeEncoder& operator=(const BpeEncoder&) = delete;

  /// Appends the ids of the pieces of `text`, which end at `ends` (the last at text.size()), to `ids`. May be called
  /// from several threads.
  void encode(std::string_view text, std::span<const uint32_t> ends, std::vector<int32_t>& ids) const;

  const BpeVocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Ranked {
    std::vector<std::pair<int32_t, int32_t>> pairs;
    std::vector<uint32_t> ranks;
    std::vector<int32_t> results;  // by rank
  };

  BpeEncoder(BpeVocabulary&& vocabulary, const Ranked& ranked);
  static Ranked ranked_pairs(const BpeVocabulary& vocabulary);
  std::vector<PieceTable::Entry> whole_pieces() const;

  void merge(std::string_view piece, std::vector<int32_t>& ids) const;
  void merge_short(std::string_view piece, std::vector<int32_t>& ids) const;
  void merge_long(std::string_view piece, std::vector<int32_t>& ids) const;

  BpeVocabulary vocabulary_;
  std::array<int32_t, 256> byte_ids_;
  std::vector<uint32_t> byte_ranks_;  // [first << 8 | second]: the rank of two bytes
  PairTable pairs_;
  std::vector<int32_t> results_;  // by rank: what the pair becomes
  PieceTable pieces_;             // last: which tokens it holds is found by merging
};

}  // namespace trireme::data
