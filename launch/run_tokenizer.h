// The tokenizer of a run: a file beside its config.json, so that text can be generated where the data is no more.
// Checkpoints hold its description with the digest of that file.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>

#include "data/tokenizer.h"
#include "runtime/files.h"

namespace trireme::launch {

/// Throws Error(data) naming the file when the data lacks the tokenizer that it was prepared with.
void check_tokenizer(runtime::Files& files, const boost::json::object& description, const std::string& data);

/// Copies `data`/tokenizer.json into the run, where the tokenizer of `description` has such a file and the run does not
/// hold it yet. Throws as check_tokenizer.
void keep_tokenizer(runtime::Files& files, const boost::json::object& description, const std::string& data,
                    const std::string& run);

/// The tokenizer of a trained model: by its description alone, or from tokenizer.json in the step directory (where
/// somebody has put one) or in the run that the step lies in. Throws Error(data) naming what is missing and the mend.
std::unique_ptr<data::Tokenizer> trained_tokenizer(runtime::Files& files, const boost::json::object& description,
                                                   const std::string& step_directory);

}  // namespace trireme::launch
