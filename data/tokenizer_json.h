// tokenizer.json, the file in which Hugging Face's tokenizers keep themselves, to parts and back: what of it makes a
// byte-level BPE tokenizer. What we cannot do as they do is an error and never left out.
#pragma once

#include <string>
#include <string_view>

#include "data/tokenizer_parts.h"

namespace trireme::data {

/// `path` is for messages. `end_of_text` is the added token that follows documents; "": the one that the file names, if
/// we wrote it, or else the first of the names that the field uses. Whatever is damaged, unsound or not byte-level BPE
/// is Error(data) of one line.
TokenizerParts parse_tokenizer_json(std::string_view text, const std::string& path,
                                    const std::string& end_of_text = "");

/// The parts as that file; equal parts give equal bytes, and parse_tokenizer_json gives the parts back. The tokens of
/// rank mode are written with the merges that stand for them, so that Hugging Face reads the file too; the model's keys
/// "trireme_mode" and "trireme_end_of_text", which it passes over, say the rest. Error(data) as check_parts.
std::string tokenizer_json(const TokenizerParts& parts);

/// The first of the usual names of the end of text ("<|endoftext|>" and so on) among the added tokens; "": none.
std::string usual_end_of_text(const TokenizerParts& parts);

}  // namespace trireme::data
