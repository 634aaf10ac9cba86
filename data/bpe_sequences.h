// The pieces of a corpus as sequences of tokens in which pairs are joined, for the trainer. Where a pair stands is
// known by its place, so that a join touches nothing else and long pieces cost no more than short ones.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/piece_counts.h"

namespace trireme::data {

/// Where a pair stands: the slot of its left token.
struct PairPlace {
  uint32_t slot = 0;
  uint32_t piece = 0;
};

/// How often a pair occurs (a place in a piece that occurs n times counts n), and its places in ascending order. It may
/// stand at some of them no longer.
struct PairPlaces {
  int64_t count = 0;
  std::vector<PairPlace> places;
};

/// Left and right token, and the one that they become.
struct Join {
  int32_t left = 0;
  int32_t right = 0;
  int32_t joined = 0;
};

/// The tokens on one side of the places of a join: token -> how often, and the places of the pair with the new token.
class Neighbours {
 public:
  void add(int32_t token, int64_t count, PairPlace place);
  /// Adds all of `later`, whose places lie behind, and empties it.
  void take(Neighbours& later);
  void clear();

  std::span<const int32_t> tokens() const { return tokens_; }
  PairPlaces& of(int32_t token) { return by_token_[static_cast<size_t>(token)]; }

 private:
  std::vector<PairPlaces> by_token_;  // empty but for tokens_
  std::vector<int32_t> tokens_;
};

/// What stood on either side of a pair when it was joined, from the left of each piece to the right: a neighbour on the
/// left may be the new token, one on the right never is.
struct JoinedNeighbours {
  Neighbours left;
  Neighbours right;
};

class BpeSequences {
 public:
  /// Each byte a token, whose id is byte_ids[byte]. Pieces of 4 GiB or more in all are Error(data).
  BpeSequences(const PieceCounts& counts, std::span<const int32_t, 256> byte_ids);

  /// Calls `visit` with all pairs of bytes that occur `least` times or more; before the first join.
  void for_each_pair(int64_t least, const std::function<void(int32_t left, int32_t right, PairPlaces)>& visit) const;

  /// Joins a pair at `places`, which are all that it has; of overlapping ones (aaa) the first. `join.joined` must be a
  /// token that was never there. The result is valid until the next call.
  JoinedNeighbours& join(const Join& join, std::span<const PairPlace> places, int threads);

 private:
  void join_part(const Join& join, std::span<const PairPlace> places, JoinedNeighbours& neighbours);

  // A slot for each byte, and one between pieces and at both ends. A token's first and last slot hold its id; where a
  // token began that has become the right part of another, the slot holds something else.
  std::vector<int32_t> slots_;
  std::array<int32_t, 256> byte_ids_;
  std::vector<int64_t> counts_;          // of the pieces
  std::vector<uint32_t> token_bytes_;    // id -> length
  std::vector<JoinedNeighbours> parts_;  // of the threads
};

}  // namespace trireme::data
