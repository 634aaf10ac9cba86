#include "data/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "data/bpe_sequences.h"
#include "data/byte_alphabet.h"
#include "runtime/error.h"

namespace trireme::data {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// The tokens so far. No two merges make the same bytes: wherever these are joined in the end, the joins before were
/// inside them, hence the same.
class GrowingVocabulary {
 public:
  explicit GrowingVocabulary(std::span<const std::string> special_tokens) : tokens_(special_tokens.size()) {
    for (size_t id = 0; id < special_tokens.size(); ++id) {
      const std::string& special = special_tokens[id];
      if (special.empty()) throw Error(ErrorKind::usage, "a special token of the tokenizer is empty: leave it out");
      if (std::ranges::find(special_tokens.first(id), special) != special_tokens.begin() + static_cast<ptrdiff_t>(id)) {
        throw Error(ErrorKind::usage, "the special token \"" + special + "\" is given twice: name it once");
      }
      const std::optional<std::string> bytes = from_printable(special);
      if (bytes && bytes->size() == 1) {
        throw Error(ErrorKind::usage, "the special token \"" + special +
                                          "\" is how the vocabulary writes a single byte, which is a token itself: "
                                          "choose a longer one");
      }
      if (bytes) specials_.insert(*bytes);
    }
    std::array<std::string, 256> bytes;
    for (size_t byte = 0; byte < bytes.size(); ++byte) bytes[byte] = static_cast<char>(byte);
    std::ranges::sort(bytes, {}, [](const std::string& byte) { return to_printable(byte); });
    for (const std::string& byte : bytes) byte_ids_[static_cast<unsigned char>(byte[0])] = add(byte);
  }

  int32_t add(std::string bytes) {
    tokens_.push_back(std::move(bytes));
    return static_cast<int32_t>(tokens_.size()) - 1;
  }

  /// Whether these bytes may become a token.
  bool takes(const std::string& bytes) const {
    return bytes.size() <= static_cast<size_t>(kTokenBytesLimit) && !specials_.contains(bytes);
  }

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  const std::string& operator[](int32_t id) const { return tokens_[static_cast<size_t>(id)]; }
  const std::array<int32_t, 256>& byte_ids() const { return byte_ids_; }
  std::vector<std::string>& tokens() { return tokens_; }

 private:
  std::vector<std::string> tokens_;
  std::unordered_set<std::string> specials_;  // the bytes whose printable form reads like one
  std::array<int32_t, 256> byte_ids_ = {};
};

/// The pairs that may be joined yet, and the best of them. A count never grows once the pair is here: it came with all
/// its places when one of its tokens was made. So a pair below `least` need not come, and a queue that still holds old
/// counts shows the best pair first or one that is found to be less.
class PairQueue {
 public:
  explicit PairQueue(int64_t least) : least_(least) {}

  void add(int32_t left, int32_t right, PairPlaces places) {
    if (places.count < least_) return;
    const Key key = key_of(left, right);
    queue_.push({places.count, key});
    [[maybe_unused]] const bool is_new = pairs_.emplace(key, std::move(places)).second;
    assert(is_new);
  }

  void subtract(int32_t left, int32_t right, int64_t count) {
    const auto found = pairs_.find(key_of(left, right));
    if (found != pairs_.end()) found->second.count -= count;
  }

  struct Best {
    int32_t left = 0;
    int32_t right = 0;
    std::vector<PairPlace> places;
  };
  /// Takes the best pair out; nothing when none is left.
  std::optional<Best> take_best() {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      const auto found = pairs_.find(top.key);
      const int64_t count = found->second.count;
      if (count == top.count) {
        Best best{static_cast<int32_t>(top.key >> 32), static_cast<int32_t>(top.key), std::move(found->second.places)};
        pairs_.erase(found);
        return best;
      }
      if (count >= least_) {
        queue_.push({count, top.key});
      } else {
        pairs_.erase(found);
      }
    }
    return std::nullopt;
  }

 private:
  using Key = uint64_t;  // left id, right id
  struct Candidate {
    int64_t count = 0;
    Key key = 0;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };
  static Key key_of(int32_t left, int32_t right) { return static_cast<Key>(left) << 32 | static_cast<uint32_t>(right); }

  int64_t least_;
  std::unordered_map<Key, PairPlaces> pairs_;
  std::priority_queue<Candidate> queue_;
};

/// Turns the pairs around a join into those with the new token.
void replace_neighbours(const Join& join, JoinedNeighbours& neighbours, PairQueue& pairs) {
  // In abab the second ab finds a new token on its left: there is no pair (new, a) in the end, but (new, new).
  int64_t adjacent = 0;
  for (const int32_t token : neighbours.left.tokens()) {
    const int64_t count = neighbours.left.of(token).count;
    if (token == join.joined) {
      adjacent = count;
    } else {
      pairs.subtract(token, join.left, count);
    }
  }
  for (const int32_t token : neighbours.right.tokens()) {
    PairPlaces& pair = neighbours.right.of(token);
    pairs.subtract(join.right, token, pair.count);
    if (token == join.left) pair.count -= adjacent;
    pairs.add(join.joined, token, std::move(pair));
  }
  for (const int32_t token : neighbours.left.tokens()) {
    pairs.add(token, join.joined, std::move(neighbours.left.of(token)));
  }
}

}  // namespace

BpeVocabulary train_bpe(const PieceCounts& counts, const BpeTrainerOptions& options) {
  GrowingVocabulary vocabulary(options.special_tokens);
  if (vocabulary.size() > options.vocabulary_size) {
    throw Error(ErrorKind::usage, "a vocabulary of " + std::to_string(options.vocabulary_size) +
                                      " tokens is too small: special tokens and bytes are " +
                                      std::to_string(vocabulary.size()));
  }
  BpeSequences sequences(counts, vocabulary.byte_ids());
  PairQueue pairs(std::max<int64_t>(1, options.min_frequency));
  sequences.for_each_pair(
      std::max<int64_t>(1, options.min_frequency),
      [&](int32_t left, int32_t right, PairPlaces places) { pairs.add(left, right, std::move(places)); });
  BpeVocabulary result;
  while (vocabulary.size() < options.vocabulary_size) {
    const std::optional<PairQueue::Best> best = pairs.take_best();
    if (!best) break;
    std::string bytes = vocabulary[best->left] + vocabulary[best->right];
    if (!vocabulary.takes(bytes)) continue;  // the pair is out of the queue for good
    const Join join{best->left, best->right, vocabulary.add(std::move(bytes))};
    result.merges.emplace_back(join.left, join.right);
    replace_neighbours(join, sequences.join(join, best->places, options.threads), pairs);
  }
  result.tokens = std::move(vocabulary.tokens());
  return result;
}

}  // namespace trireme::data
