#include "data/bpe_encoder.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>

namespace trireme::data {
namespace {

// A short piece's candidates are one int32 each, rank << kPositionBits | position, so that the least of them is the
// leftmost of the lowest rank.
constexpr int kPositionBits = 7;
constexpr size_t kShortPiece = size_t{1} << kPositionBits;  // bytes
constexpr int32_t kNoCandidate = std::numeric_limits<int32_t>::max();
static_assert(static_cast<int64_t>(PairTable::kNone) << kPositionBits <= kNoCandidate);

int32_t candidate(uint32_t rank, size_t position) {
  return rank == PairTable::kNone ? kNoCandidate : static_cast<int32_t>(rank << kPositionBits | position);
}

}  // namespace

BpeEncoder::Ranked BpeEncoder::ranked_pairs(const BpeVocabulary& vocabulary) {
  check_vocabulary(vocabulary, "the vocabulary");
  const TokenIds ids = token_ids(vocabulary);
  const bool by_id = vocabulary.mode == BpeMode::ranks;
  Ranked ranked{.pairs = by_id ? merges_of_ranks(vocabulary) : vocabulary.merges, .ranks = {}, .results = {}};
  ranked.results.resize(by_id ? vocabulary.tokens.size() : ranked.pairs.size());
  for (const auto& [left, right] : ranked.pairs) {
    const int32_t result =
        ids.at(vocabulary.tokens[static_cast<size_t>(left)] + vocabulary.tokens[static_cast<size_t>(right)]);
    const size_t rank = by_id ? static_cast<size_t>(result) : ranked.ranks.size();
    ranked.ranks.push_back(static_cast<uint32_t>(rank));
    ranked.results[rank] = result;
  }
  return ranked;
}

// The delegate only binds its first argument, and moves from it when the second has been made.
BpeEncoder::BpeEncoder(BpeVocabulary vocabulary) : BpeEncoder(std::move(vocabulary), ranked_pairs(vocabulary)) {}

BpeEncoder::BpeEncoder(BpeVocabulary&& vocabulary, const Ranked& ranked)
    : vocabulary_(std::move(vocabulary)),
      byte_ranks_(size_t{1} << 16),
      pairs_(ranked.pairs, ranked.ranks),
      results_(ranked.results),
      pieces_({}) {
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    const std::string& token = vocabulary_.tokens[id];
    if (token.size() == 1) byte_ids_[static_cast<unsigned char>(token[0])] = static_cast<int32_t>(id);
  }
  for (size_t both = 0; both < byte_ranks_.size(); ++both) {
    byte_ranks_[both] = pairs_.rank(byte_ids_[both >> 8], byte_ids_[both & 0xFF]);
  }
  pieces_ = PieceTable(whole_pieces());
}

std::vector<PieceTable::Entry> BpeEncoder::whole_pieces() const {
  const bool always = vocabulary_.mode == BpeMode::ranks || vocabulary_.ignore_merges;
  std::vector<PieceTable::Entry> entries;
  std::vector<int32_t> ids;
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    const std::string& token = vocabulary_.tokens[id];
    if (token.empty()) continue;
    ids.clear();
    if (!always) merge(token, ids);
    if (always || ids.size() == 1) entries.push_back({.bytes = token, .id = static_cast<int32_t>(id)});
  }
  return entries;
}

void BpeEncoder::encode(std::string_view text, std::span<const uint32_t> ends, std::vector<int32_t>& ids) const {
  size_t begin = 0;
  for (const uint32_t end : ends) {
    const std::string_view piece = text.substr(begin, end - begin);
    const int32_t id = pieces_.find(piece, text.size() - begin);
    if (id >= 0) {
      ids.push_back(id);
    } else {
      merge(piece, ids);
    }
    begin = end;
  }
}

void BpeEncoder::merge(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.size() <= kShortPiece) {
    merge_short(piece, ids);
  } else {
    merge_long(piece, ids);
  }
}

void BpeEncoder::merge_short(std::string_view piece, std::vector<int32_t>& ids) const {
  const size_t n = piece.size();
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(piece[i]); };
  // A token lies at the position of its first byte; the positions of its others are dead.
  int32_t id[kShortPiece];
  int32_t candidates[kShortPiece];  // of the token there and the next
  uint8_t next[kShortPiece + 1];    // n behind the last
  uint8_t previous[kShortPiece + 1];
  for (size_t i = 0; i < n; ++i) {
    id[i] = byte_ids_[byte(i)];
    candidates[i] =
        i + 1 < n ? candidate(byte_ranks_[static_cast<size_t>(byte(i) << 8 | byte(i + 1))], i) : kNoCandidate;
    next[i] = static_cast<uint8_t>(i + 1);
    previous[i + 1] = static_cast<uint8_t>(i);
  }
  const size_t padded = (n + 7) / 8 * 8;  // whole vectors
  for (size_t i = n; i < padded; ++i) candidates[i] = kNoCandidate;
  for (;;) {
    int32_t least = kNoCandidate;
    for (size_t i = 0; i < padded; ++i) least = std::min(least, candidates[i]);
    if (least == kNoCandidate) break;
    const size_t at = static_cast<size_t>(least) % kShortPiece;
    const size_t joined = next[at];
    const size_t after = next[joined];
    id[at] = results_[static_cast<size_t>(least) / kShortPiece];
    candidates[joined] = kNoCandidate;
    next[at] = static_cast<uint8_t>(after);
    previous[after] = static_cast<uint8_t>(at);
    candidates[at] = after < n ? candidate(pairs_.rank(id[at], id[after]), at) : kNoCandidate;
    if (at > 0) {
      const size_t before = previous[at];
      candidates[before] = candidate(pairs_.rank(id[before], id[at]), before);
    }
  }
  for (size_t i = 0; i < n; i = next[i]) ids.push_back(id[i]);
}

void BpeEncoder::merge_long(std::string_view piece, std::vector<int32_t>& ids) const {
  struct Link {
    int32_t id;
    uint32_t rank;  // with the next; kNone at the last and where a token has gone into another
    uint32_t previous;
    uint32_t next;
  };
  const size_t n = piece.size();
  std::vector<Link> links(n);
  // rank << 32 | position, least first. An entry is out of date when its position has another rank by now.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue;
  const auto look = [&](size_t at) {
    Link& link = links[at];
    link.rank = link.next < n ? pairs_.rank(link.id, links[link.next].id) : PairTable::kNone;
    if (link.rank != PairTable::kNone) queue.push(static_cast<uint64_t>(link.rank) << 32 | at);
  };
  for (size_t i = 0; i < n; ++i) {
    links[i] = {.id = byte_ids_[static_cast<unsigned char>(piece[i])],
                .rank = PairTable::kNone,
                .previous = static_cast<uint32_t>(i) - 1,
                .next = static_cast<uint32_t>(i) + 1};
  }
  for (size_t i = 0; i < n; ++i) look(i);
  while (!queue.empty()) {
    const auto at = static_cast<uint32_t>(queue.top());
    const auto rank = static_cast<uint32_t>(queue.top() >> 32);
    queue.pop();
    Link& link = links[at];
    if (link.rank != rank) continue;
    Link& joined = links[link.next];
    joined.rank = PairTable::kNone;
    link.id = results_[rank];
    link.next = joined.next;
    if (link.next < n) links[link.next].previous = at;
    look(at);
    if (at > 0) look(link.previous);
  }
  for (size_t i = 0; i < n; i = links[i].next) ids.push_back(links[i].id);
}

}  // namespace trireme::data
