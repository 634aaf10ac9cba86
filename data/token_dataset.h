// One split of a prepared directory as a single stream of tokens over all its shards, which are opened and checked at
// construction. It does not know batches, order or ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "data/token_shard.h"
#include "runtime/files.h"

namespace trireme::data {

class TokenDataset {
 public:
  /// `split`: "train" or "validation". A missing or damaged dataset, or one without that split, is an Error of one line
  /// with the mend. Calls HDF5; later reads do not.
  TokenDataset(runtime::Files& files, const std::string& directory, const std::string& split);

  int64_t tokens() const { return begins_.back(); }
  /// Tokens [begin, begin + ids.size()) of the stream; Error(data) when a block is damaged. May be called from several
  /// threads.
  void read(int64_t begin, std::span<int32_t> ids) const;

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
  std::string name_;
  std::vector<std::unique_ptr<TokenShard>> shards_;
  std::vector<int64_t> begins_ = {0};  // of each shard in the stream, and the end
  boost::json::object tokenizer_;
  int64_t vocabulary_size_ = 0;
  int32_t end_of_text_ = 0;
  std::string digest_;
};

/// Whether the prepared `directory` has that split; throws like the constructor when it is not a dataset.
bool has_split(runtime::Files& files, const std::string& directory, const std::string& split);

}  // namespace trireme::data
