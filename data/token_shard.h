// One file of tokens: its reader. HDF5, so that other tools can open it, but contiguous, so that we read it by pread:
// HDF5 only tells the offsets when the file is opened. Every block of 4 MiB of tokens carries a hash that is checked
// when the block is first touched; header, document table and hashes are covered by the content digest, which is
// checked at opening.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/document_table.h"
#include "data/token_shard_format.h"
#include "runtime/dtype.h"
#include "runtime/files.h"

namespace trireme::data {

class TokenShard {
 public:
  /// Opens and checks everything but the tokens. A file that is no shard, of another major version, cut short or
  /// changed, or of a tokenizer other than `tokenizer_digest` (when given) is Error(data) naming the file.
  TokenShard(runtime::Files& files, const std::string& path, const std::optional<std::string>& tokenizer_digest);

  /// Tokens [begin, begin + ids.size()). A block that is touched for the first time is read whole and held against its
  /// hash and the vocabulary; Error(data) names the file and the block. May be called from several threads.
  void read(int64_t begin, std::span<int32_t> ids) const;
  /// Checks the blocks of tokens [begin, end) that nobody has touched, as read() would.
  void check(int64_t begin, int64_t end) const;

  const ShardIdentity& identity() const { return identity_; }
  const ShardContent& content() const { return content_; }
  const DocumentTable& documents() const { return *documents_; }
  const std::string& path() const { return path_; }

 private:
  void check_block(int64_t block) const;
  void read_unchecked(int64_t begin, std::span<int32_t> ids) const;

  std::string path_;
  std::unique_ptr<runtime::File> file_;
  ShardIdentity identity_;
  ShardContent content_;
  std::optional<DocumentTable> documents_;
  runtime::DType dtype_ = runtime::DType::u16;
  int64_t tokens_offset_bytes_ = 0;
  std::vector<std::byte> block_hashes_;                // 16 a block
  mutable std::vector<std::atomic<bool>> is_checked_;  // two threads may check the same block: harmless
};

}  // namespace trireme::data
