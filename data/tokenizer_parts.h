// All that a byte-level BPE tokenizer is made of, as plain data between files (tokenizer.json, vocab.json + merges.txt,
// .tiktoken), the trainer and BpeTokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_vocabulary.h"
#include "data/normal_form.h"

namespace trireme::data {

/// A token that is cut out of the text before anything else; fields as in tokenizer.json.
struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = false;
  bool special = true;
  bool operator==(const AddedToken&) const = default;
};

struct TokenizerParts {
  BpeVocabulary vocabulary;
  std::string pattern;                   ///< of the splitter (splitter.h); "": text is not cut
  bool add_prefix_space = false;         ///< a space before text that does not begin with one
  std::vector<NormalForm> normal_forms;  ///< applied in order
  std::vector<AddedToken> added_tokens;  ///< by id
  std::string end_of_text;               ///< content of the added token that follows every document
  std::string begin_of_text;             ///< content of the one that a model wants first; "": none
  bool operator==(const TokenizerParts&) const = default;
};

/// The added token of that content; null when there is none.
const AddedToken* find_added_token(const TokenizerParts& parts, std::string_view content);

/// Error(data) that begins with `where` unless the vocabulary is sound (check_vocabulary), added tokens are UTF-8, in
/// order of their ids, none empty or twice, their ids are not those of other tokens, special ones are not tokens of the
/// vocabulary too (text would become them in spite of SpecialTokens::as_text), and both ends of text exist.
void check_parts(const TokenizerParts& parts, const std::string& where);

}  // namespace trireme::data
