// One split of a prepared directory as a single stream of tokens over all its shards, which are opened and checked at
// construction. It does not know batches, order or ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "data/token_shard.h"
#include "runtime/files.h"

namespace trireme::data {

/// A document in the stream of a split.
struct DocumentSpan {
  int64_t begin = 0;      ///< first token; in an earlier shard where the document began there
  int64_t end = 0;        ///< behind its end of text
  std::string file;       ///< where the text came from, as `prepare` met it
  int64_t row = 0;        ///< line of a .jsonl file, or number of the document in its file, from 1
  runtime::Hash128 hash;  ///< XXH3-128 of its text; of the whole where its end was held back for validation
};

class TokenDataset {
 public:
  /// `split`: "train" or "validation". A missing or damaged dataset, or one without that split, is an Error of one line
  /// with the mend. Calls HDF5; later reads do not.
  TokenDataset(runtime::Files& files, const std::string& directory, const std::string& split);

  int64_t tokens() const { return begins_.back(); }
  /// Tokens [begin, begin + ids.size()) of the stream; Error(data) when a block is damaged. May be called from several
  /// threads.
  void read(int64_t begin, std::span<int32_t> ids) const;

  /// Checks every block of tokens that nobody has touched, so that damage is found now and not in the middle of a run:
  /// Error(data) as read() gives it. Reads the whole split once; `progress` (may be empty) hears the tokens checked so
  /// far, every few blocks.
  void check_all(const std::function<void(int64_t tokens)>& progress = {}) const;

  /// The documents that tokens [begin, end) belong to, in order. Reads the document tables, not the tokens. A range
  /// that is not inside the stream is Error(internal).
  std::vector<DocumentSpan> documents(int64_t begin, int64_t end) const;

  int64_t vocabulary_size() const { return vocabulary_size_; }
  int32_t end_of_text() const { return end_of_text_; }
  const boost::json::object& tokenizer_description() const { return tokenizer_; }
  /// SHA-256 of the split's contents and the tokenizer: what a resumed run must find again.
  const std::string& digest() const { return digest_; }
  /// Windows of `sequence_length` tokens whose targets (one token later) lie inside too.
  int64_t windows(int64_t sequence_length) const { return (tokens() - 1) / sequence_length; }
  /// "DIR (train)", for messages.
  const std::string& name() const { return name_; }

 private:
  size_t shard_of(int64_t token) const;

  std::string name_;
  std::vector<std::unique_ptr<TokenShard>> shards_;
  std::vector<int64_t> begins_ = {0};  // of each shard in the stream, and the end
  std::vector<int64_t> open_begins_;   // of each shard: where the document that its first token belongs to begins
  std::vector<std::string> sources_;   // paths of the text files
  boost::json::object tokenizer_;
  int64_t vocabulary_size_ = 0;
  int32_t end_of_text_ = 0;
  std::string digest_;
};

/// Whether the prepared `directory` has that split; throws like the constructor when it is not a dataset.
bool has_split(runtime::Files& files, const std::string& directory, const std::string& split);

}  // namespace trireme::data
