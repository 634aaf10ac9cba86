// Small tokenizers for the tests of this room: the 256 bytes (id = byte) and a few merges.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer_parts.h"

namespace trireme::data {

inline BpeVocabulary byte_vocabulary() {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  return vocabulary;
}

/// Joins two tokens; the result is a new token where there is none of its bytes.
inline void add_merge(BpeVocabulary& vocabulary, const std::string& left, const std::string& right) {
  const TokenIds ids = token_ids(vocabulary);
  vocabulary.merges.emplace_back(ids.at(left), ids.at(right));
  if (!ids.contains(left + right)) vocabulary.tokens.push_back(left + right);
}

/// Tokens he (256), ll (257), hell (258), hello (259), " w" (260), and the end of text (261); GPT-2's pattern is not
/// needed to see them, so none is set.
inline TokenizerParts small_parts() {
  TokenizerParts parts;
  parts.vocabulary = byte_vocabulary();
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {" ", "w"}};
  for (const auto& [left, right] : merges) add_merge(parts.vocabulary, left, right);
  parts.added_tokens = {{.id = 261, .content = "<|endoftext|>"}};
  parts.end_of_text = "<|endoftext|>";
  return parts;
}

}  // namespace trireme::data
