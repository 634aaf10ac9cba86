#include "data/bpe_sequences.h"

#include <algorithm>
#include <cassert>
#include <future>
#include <limits>

#include "runtime/error.h"

namespace trireme::data {
namespace {

constexpr int32_t kBoundary = -1;  // between pieces
constexpr int32_t kInside = -2;    // a token's slot that is neither its first nor its last

// A thread takes some 30 microseconds to start, and joins a place in 20 to 100 ns.
constexpr size_t kPlacesOfThread = 16384;

}  // namespace

void Neighbours::add(int32_t token, int64_t count, PairPlace place) {
  if (static_cast<size_t>(token) >= by_token_.size()) by_token_.resize(static_cast<size_t>(token) + 1);
  PairPlaces& pair = of(token);
  if (pair.places.empty()) tokens_.push_back(token);
  pair.count += count;
  pair.places.push_back(place);
}

void Neighbours::take(Neighbours& later) {
  if (later.by_token_.size() > by_token_.size()) by_token_.resize(later.by_token_.size());
  for (const int32_t token : later.tokens_) {
    PairPlaces& mine = of(token);
    const PairPlaces& more = later.of(token);
    if (mine.places.empty()) tokens_.push_back(token);
    mine.count += more.count;
    mine.places.insert(mine.places.end(), more.places.begin(), more.places.end());
  }
  later.clear();
}

void Neighbours::clear() {
  for (const int32_t token : tokens_) of(token) = {};
  tokens_.clear();
}

BpeSequences::BpeSequences(const PieceCounts& counts, std::span<const int32_t, 256> byte_ids) {
  std::ranges::copy(byte_ids, byte_ids_.begin());
  const std::vector<PieceCount> pieces = counts.sorted();
  size_t slots = 1;
  size_t longer = 0;  // pieces of one byte have no pairs
  for (const PieceCount& piece : pieces) {
    if (piece.piece.size() < 2) continue;
    slots += piece.piece.size() + 1;
    ++longer;
  }
  if (slots > std::numeric_limits<uint32_t>::max()) {
    throw runtime::Error(runtime::ErrorKind::data,
                         "the text has 4 GiB of different pieces: train on less of it, or with a pattern that cuts it");
  }
  slots_.reserve(slots);
  counts_.reserve(longer);
  slots_.push_back(kBoundary);
  for (const PieceCount& piece : pieces) {
    if (piece.piece.size() < 2) continue;
    for (const char byte : piece.piece) slots_.push_back(byte_ids[static_cast<unsigned char>(byte)]);
    slots_.push_back(kBoundary);
    counts_.push_back(piece.count);
  }
  token_bytes_.resize(static_cast<size_t>(*std::ranges::max_element(byte_ids)) + 1, 1);
}

void BpeSequences::for_each_pair(int64_t least,
                                 const std::function<void(int32_t left, int32_t right, PairPlaces)>& visit) const {
  std::vector<size_t> byte_of(token_bytes_.size());
  for (size_t byte = 0; byte < 256; ++byte) byte_of[static_cast<size_t>(byte_ids_[byte])] = byte;
  const auto for_each_place = [&](const auto& act) {
    uint32_t piece = 0;
    for (uint32_t slot = 1; slot + 1 < slots_.size(); ++slot) {
      const int32_t left = slots_[slot];
      const int32_t right = slots_[slot + 1];
      if (left == kBoundary) {
        ++piece;
      } else if (right != kBoundary) {
        act(256 * byte_of[static_cast<size_t>(left)] + byte_of[static_cast<size_t>(right)], PairPlace{slot, piece});
      }
    }
  };
  std::vector<PairPlaces> pairs(256 * 256);  // by left byte and right byte
  std::vector<size_t> places(pairs.size());
  for_each_place([&](size_t pair, PairPlace place) {
    pairs[pair].count += counts_[place.piece];
    ++places[pair];
  });
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    if (pairs[pair].count >= least) pairs[pair].places.reserve(places[pair]);
  }
  for_each_place([&](size_t pair, PairPlace place) {
    if (pairs[pair].count >= least) pairs[pair].places.push_back(place);
  });
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    if (!pairs[pair].places.empty()) visit(byte_ids_[pair / 256], byte_ids_[pair % 256], std::move(pairs[pair]));
  }
}

JoinedNeighbours& BpeSequences::join(const Join& join, std::span<const PairPlace> places, int threads) {
  assert(threads >= 1);
  const auto bytes = [&](int32_t token) { return token_bytes_[static_cast<size_t>(token)]; };
  token_bytes_.resize(std::max(token_bytes_.size(), static_cast<size_t>(join.joined) + 1));
  token_bytes_[static_cast<size_t>(join.joined)] = bytes(join.left) + bytes(join.right);
  const size_t parts = std::clamp<size_t>(places.size() / kPlacesOfThread, 1, static_cast<size_t>(threads));
  if (parts_.size() < parts) parts_.resize(parts);
  parts_[0].left.clear();
  parts_[0].right.clear();

  // Cut between pieces, so that each slot belongs to one thread.
  std::vector<std::future<void>> others;
  std::span<const PairPlace> rest = places;
  for (size_t part = parts - 1; part > 0; --part) {
    size_t begin = places.size() * part / parts;
    while (begin > 0 && begin < rest.size() && places[begin].piece == places[begin - 1].piece) --begin;
    const std::span<const PairPlace> mine = rest.subspan(std::min(begin, rest.size()));
    rest = rest.first(rest.size() - mine.size());
    others.push_back(
        std::async(std::launch::async, [this, &join, mine, part] { join_part(join, mine, parts_[part]); }));
  }
  join_part(join, rest, parts_[0]);
  for (size_t part = 1; part < parts; ++part) {
    others[parts - 1 - part].get();
    parts_[0].left.take(parts_[part].left);
    parts_[0].right.take(parts_[part].right);
  }
  return parts_[0];
}

void BpeSequences::join_part(const Join& join, std::span<const PairPlace> places, JoinedNeighbours& neighbours) {
  const uint32_t left_bytes = token_bytes_[static_cast<size_t>(join.left)];
  const uint32_t joined_bytes = token_bytes_[static_cast<size_t>(join.joined)];
  for (const PairPlace place : places) {
    int32_t* const first = slots_.data() + place.slot;
    if (first[0] != join.left || first[left_bytes] != join.right) continue;
    const int64_t count = counts_[place.piece];
    if (const int32_t before = first[-1]; before != kBoundary) {
      neighbours.left.add(before, count, {place.slot - token_bytes_[static_cast<size_t>(before)], place.piece});
    }
    if (const int32_t after = first[joined_bytes]; after != kBoundary) neighbours.right.add(after, count, place);
    first[left_bytes] = kInside;
    first[0] = join.joined;
    first[joined_bytes - 1] = join.joined;
  }
}

}  // namespace trireme::data
