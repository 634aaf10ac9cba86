// What `prepare` is asked to do, as plain data for its parts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/documents.h"

namespace trireme::data {

enum class PreparePhase {
  survey,  ///< counting and hashing
  learn,   ///< counting pieces for a tokenizer
  write,   ///< tokenizing
};

struct PrepareProgress {
  PreparePhase phase = PreparePhase::survey;
  int64_t bytes = 0;        ///< of the files on the disk, done in this phase
  int64_t total_bytes = 0;  ///< of the files on the disk
  int64_t documents = 0;    ///< begun in this phase
};

struct PrepareOptions {
  std::vector<std::string> inputs;  ///< files and directories
  std::string output;               ///< directory
  double validation_fraction = 0.1;
  TextOptions text = {};         ///< how text is read and cleaned; may_cut is the tokenizer's affair and set here
  bool drop_duplicates = false;  ///< of documents with the same text after cleaning the first one stays
  int64_t shard_tokens = int64_t{1} << 30;                    ///< the most in one shard
  int threads = 1;                                            ///< that clean, hash and tokenize
  double journal_seconds = 10;                                ///< at most this much work is lost when killed,
  int64_t journal_bytes = int64_t{1} << 30;                   ///< and work on this much of the files
  std::function<void(const PrepareProgress&)> progress = {};  ///< by the calling thread, five times a second
};

}  // namespace trireme::data
