// Tokenizers on disk: the files of Hugging Face, GPT-2 and tiktoken to parts, and the tokenizer of a dataset or a run,
// which lies beside it as tokenizer.json.
#pragma once

#include <memory>
#include <string>

#include <boost/json/object.hpp>

#include "data/tokenizer.h"
#include "data/tokenizer_parts.h"
#include "runtime/files.h"

namespace trireme::data {

/// The file of a tokenizer that is more than its description, beside a dataset.json or in a run.
inline constexpr char kTokenizerFile[] = "tokenizer.json";

struct ReadTokenizerOptions {
  std::string end_of_text;      ///< the added token that follows documents; "": a usual name is looked for
  std::string rank_vocabulary;  ///< of a rank file (rank_file.h): "cl100k_base"; "": known by the file's name
};

/// `path`: a tokenizer.json; a rank file (*.tiktoken, or Llama 3's tokenizer.model); or a directory with
/// tokenizer.json, with vocab.json and merges.txt (GPT-2's), or with tokenizer.model. A path that is none is
/// Error(usage), a damaged or foreign file Error(data): one line that names the file and the mend.
TokenizerParts read_tokenizer(runtime::Files& files, const std::string& path, const ReadTokenizerOptions& options = {});

/// The tokenizer of a description (Tokenizer::description). Of kind bpe it is read from `directory`/tokenizer.json; one
/// that is missing or whose SHA-256 is not the description's is Error(data) naming both and the mend. Where the
/// description has versions of Unicode's tables other than those in use here, that is a warning: most text is the same.
std::unique_ptr<Tokenizer> open_tokenizer(runtime::Files& files, const boost::json::object& description,
                                          const std::string& directory);

/// The tokenizer of the option --tokenizer: "byte", or a path for read_tokenizer. Anything else is Error(usage) that
/// says what there is.
std::unique_ptr<Tokenizer> tokenizer_from_option(runtime::Files& files, const std::string& option,
                                                 const ReadTokenizerOptions& options = {});

}  // namespace trireme::data
