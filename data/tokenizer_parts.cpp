#include "data/tokenizer_parts.h"

#include <algorithm>
#include <set>

#include <unicode/utf8.h>

#include "data/byte_alphabet.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

bool is_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t at = 0; at < size;) {
    UChar32 character = 0;
    U8_NEXT(bytes, at, size, character);
    if (character < 0) return false;
  }
  return true;
}

void check_added_tokens(const TokenizerParts& parts, const std::string& where) {
  std::set<std::string_view> contents;
  int32_t last_id = -1;
  for (const AddedToken& token : parts.added_tokens) {
    const std::string begin = where + ": the added token " + std::to_string(token.id) + " ";
    if (token.id < 0 || token.id >= kVocabularyLimit) {
      throw Error(ErrorKind::data,
                  begin + "is beyond the " + std::to_string(kVocabularyLimit) + " ids that this program takes");
    }
    if (token.id <= last_id) throw Error(ErrorKind::data, begin + "stands there twice or not in order of ids");
    last_id = token.id;
    if (token.content.empty() || token.content.size() > static_cast<size_t>(kTokenBytesLimit) ||
        !is_utf8(token.content)) {
      throw Error(ErrorKind::data,
                  begin + "is empty, longer than " + std::to_string(kTokenBytesLimit) + " bytes or not UTF-8");
    }
    if (!contents.insert(token.content).second) {
      throw Error(ErrorKind::data, begin + "has the content of another one (" + to_printable(token.content) + ")");
    }
    const auto id = static_cast<size_t>(token.id);
    if (id >= parts.vocabulary.tokens.size() || parts.vocabulary.tokens[id].empty()) continue;
    if (to_printable(parts.vocabulary.tokens[id]) != token.content) {
      throw Error(ErrorKind::data, begin + "(" + to_printable(token.content) + ") has the id of the token " +
                                       to_printable(parts.vocabulary.tokens[id]));
    }
    if (token.special) {
      throw Error(ErrorKind::data, begin + "(" + token.content +
                                       ") is special, but also what bytes or merges give, so that plain text would "
                                       "become it: say \"special\": false, or give it an id of its own");
    }
  }
}

}  // namespace

const AddedToken* find_added_token(const TokenizerParts& parts, std::string_view content) {
  const auto found = std::ranges::find(parts.added_tokens, content, &AddedToken::content);
  return found == parts.added_tokens.end() ? nullptr : &*found;
}

void check_parts(const TokenizerParts& parts, const std::string& where) {
  check_vocabulary(parts.vocabulary, where);
  check_added_tokens(parts, where);
  if (find_added_token(parts, parts.end_of_text) == nullptr) {
    throw Error(ErrorKind::data,
                where + ": the end of text \"" + to_printable(parts.end_of_text) + "\" is not among its added tokens");
  }
  if (!parts.begin_of_text.empty() && find_added_token(parts, parts.begin_of_text) == nullptr) {
    throw Error(ErrorKind::data, where + ": the beginning of text \"" + to_printable(parts.begin_of_text) +
                                     "\" is not among its added tokens");
  }
}

}  // namespace trireme::data
