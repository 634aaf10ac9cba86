#include "data/bpe_vocabulary.h"

#include <algorithm>
#include <unordered_set>

#include "data/byte_alphabet.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

void check_merges(const BpeVocabulary& vocabulary, const TokenIds& ids, const std::string& where) {
  const auto is_token = [&](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < vocabulary.tokens.size() &&
           !vocabulary.tokens[static_cast<size_t>(id)].empty();
  };
  std::unordered_set<uint64_t> seen;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const auto [left, right] = vocabulary.merges[i];
    const std::string merge = where + ": merge " + std::to_string(i + 1) + " ";
    if (!is_token(left) || !is_token(right)) {
      throw Error(ErrorKind::data, merge + "is of ids that are not tokens (" + std::to_string(left) + ", " +
                                       std::to_string(right) + ")");
    }
    const std::string& left_bytes = vocabulary.tokens[static_cast<size_t>(left)];
    const std::string& right_bytes = vocabulary.tokens[static_cast<size_t>(right)];
    if (!ids.contains(left_bytes + right_bytes)) {
      throw Error(ErrorKind::data, merge + "gives " + to_printable(left_bytes + right_bytes) + ", which is no token");
    }
    if (!seen.insert(static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right)).second) {
      throw Error(ErrorKind::data,
                  merge + "(" + to_printable(left_bytes) + " " + to_printable(right_bytes) + ") stands there twice");
    }
  }
}

}  // namespace

std::string_view name(BpeMode mode) {
  return mode == BpeMode::merges ? "merges" : "ranks";
}

TokenIds token_ids(const BpeVocabulary& vocabulary) {
  TokenIds ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!vocabulary.tokens[id].empty()) ids.emplace(vocabulary.tokens[id], static_cast<int32_t>(id));
  }
  return ids;
}

void check_vocabulary(const BpeVocabulary& vocabulary, const std::string& where) {
  const auto refuse_above = [&](int64_t limit, size_t number, const char* what) {
    if (number <= static_cast<size_t>(limit)) return;
    throw Error(ErrorKind::data, where + ": " + std::to_string(number) + what + " are more than the " +
                                     std::to_string(limit) + " that this program takes");
  };
  refuse_above(kVocabularyLimit, vocabulary.tokens.size(), " ids");
  refuse_above(kMergesLimit, vocabulary.merges.size(), " merges");
  for (const std::string& token : vocabulary.tokens) refuse_above(kTokenBytesLimit, token.size(), " bytes of a token");
  const TokenIds ids = token_ids(vocabulary);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (!token.empty() && ids.at(token) != static_cast<int32_t>(id)) {
      throw Error(ErrorKind::data, where + ": tokens " + std::to_string(ids.at(token)) + " and " + std::to_string(id) +
                                       " have the same bytes (" + to_printable(token) + ")");
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (!ids.contains(std::string(1, static_cast<char>(byte)))) {
      throw Error(ErrorKind::data, where + ": byte " + std::to_string(byte) +
                                       " is no token, so that not every text can be encoded: this program takes "
                                       "byte-level BPE with all 256 bytes");
    }
  }
  check_merges(vocabulary, ids, where);
}

std::vector<std::pair<int32_t, int32_t>> merges_of_ranks(const BpeVocabulary& vocabulary) {
  const TokenIds ids = token_ids(vocabulary);
  std::vector<std::pair<int32_t, int32_t>> merges;
  for (const std::string_view token : vocabulary.tokens) {
    const auto first = static_cast<std::ptrdiff_t>(merges.size());
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(cut));
      if (right != ids.end()) merges.emplace_back(left->second, right->second);
    }
    std::sort(merges.begin() + first, merges.end());
  }
  return merges;
}

}  // namespace trireme::data
