// A vocabulary as files name it, in the printable alphabet (byte_alphabet.h): the "vocab" of a tokenizer.json or a
// vocab.json, and merges of two names.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "data/tokenizer_parts.h"

namespace trireme::data {

using NamedMerges = std::vector<std::pair<std::string, std::string>>;

/// Tokens and merges by ids. A name that an added token has too must have its id, and is a token of the vocabulary only
/// if merges need it. What does not fit is Error(data) that begins with `where`; call check_vocabulary too.
BpeVocabulary vocabulary_from_names(const boost::json::object& vocab, const NamedMerges& merges,
                                    const std::vector<AddedToken>& added_tokens, const std::string& where);

/// "left right"; a line of another form is Error(data) that begins with `where`.
std::pair<std::string, std::string> named_merge(std::string_view line, const std::string& where);

}  // namespace trireme::data
