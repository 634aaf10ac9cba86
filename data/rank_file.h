// Rank files of tiktoken (*.tiktoken; Llama 3's tokenizer.model): a token in base64 and its rank on each line. They
// hold neither the pattern nor special tokens, so these are known here by the names of the vocabularies.
#pragma once

#include <string>
#include <string_view>

#include "data/tokenizer_parts.h"

namespace trireme::data {

/// "r50k_base, p50k_base, ...": the names of the vocabularies that are known, for messages.
std::string known_rank_vocabularies();
bool is_known_rank_vocabulary(std::string_view name);

/// `vocabulary`: one of those. A damaged or unsound text is Error(data) naming `path` and the line.
TokenizerParts parse_rank_file(std::string_view text, const std::string& vocabulary, const std::string& path);

}  // namespace trireme::data
