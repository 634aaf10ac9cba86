// Text to a prepared dataset: a directory of token shards (train-00000.h5, validation-00000.h5, ...) and dataset.json,
// which is written last and makes it valid. Two passes over the text: the first counts and hashes, so that the split is
// known and an unchanged dataset is recognised; the second writes tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset_manifest.h"
#include "data/tokenizer.h"
#include "runtime/files.h"

namespace trireme::data {

struct PrepareOptions {
  std::vector<std::string> inputs;  ///< files and directories
  std::string output;               ///< directory
  double validation_fraction = 0.1;
  std::optional<std::string> document_separator;
  int64_t shard_tokens = int64_t{1} << 30;  ///< the most in one shard
};

struct PrepareReport {
  DatasetManifest dataset;        ///< documents, bytes and tokens of each split
  bool already_prepared = false;  ///< the same text and options were found in the output; nothing was written
};

/// Every document is followed by end of text; a part held back from a single document too. An output that holds another
/// dataset or foreign files, or in which another process is preparing, is Error(usage); what an interrupted run left is
/// replaced. On any failure nothing of this run stays behind.
PrepareReport prepare(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options);

}  // namespace trireme::data
