// The vocabulary of a byte-level BPE tokenizer as plain data: what a trainer makes, files hold and an encoder is built
// from (Sennrich et al. 2016, arXiv:1508.07909; over bytes: Radford et al. 2019). Tokens are true bytes here; the
// printable alphabet in which tokenizer.json writes them is that file's affair.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace trireme::data {

/// Ids are smaller, and ranks of merges too: the encoder packs two ids and a rank into eight bytes.
inline constexpr int64_t kVocabularyLimit = (int64_t{1} << 20) - 1;
inline constexpr int64_t kMergesLimit = (int64_t{1} << 24) - 1;
/// Far beyond what is of use; it bounds the time that a hostile file can take.
inline constexpr int64_t kTokenBytesLimit = 4096;

/// How the next pair is chosen; the two differ on rare sequences.
enum class BpeMode {
  merges,  ///< the pair that comes first in the list of merges (Hugging Face)
  ranks,   ///< the pair whose joined bytes are the token of lowest id (tiktoken)
};

/// "merges", "ranks".
std::string_view name(BpeMode mode);

struct BpeVocabulary {
  BpeMode mode = BpeMode::merges;
  /// id -> bytes; empty: no such token (ids of added tokens lie in such holes or behind the end); not the last.
  std::vector<std::string> tokens;
  /// (left id, right id) in order of their rank; none in rank mode. The result is the token of the joined bytes.
  std::vector<std::pair<int32_t, int32_t>> merges;
  /// A piece that is a token as a whole is that token, whatever the merges say (Llama 3). Rank mode is so without it.
  bool ignore_merges = false;
  bool operator==(const BpeVocabulary&) const = default;
};

/// bytes -> id; the views are of the vocabulary's tokens.
using TokenIds = std::unordered_map<std::string_view, int32_t>;
TokenIds token_ids(const BpeVocabulary& vocabulary);

/// Error(data) that begins with `where` unless each of the 256 bytes is a token, no two tokens have the same bytes,
/// every merge is of two tokens, gives a token and stands there once, and all is within the limit.
void check_vocabulary(const BpeVocabulary& vocabulary, const std::string& where);

/// Merges that stand for the ranks: every way to join two tokens to a third, in order of the third, then of the two (as
/// the converters of tiktoken's files to Hugging Face's have it).
std::vector<std::pair<int32_t, int32_t>> merges_of_ranks(const BpeVocabulary& vocabulary);

}  // namespace trireme::data
