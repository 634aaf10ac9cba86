// One file of tokens: its format and its reader. HDF5, so that other tools can open it, but contiguous, so that we read
// it by pread: HDF5 only tells the offsets when the file is opened. Every block of 4 MiB of tokens carries a hash that
// is checked when the block is first touched, and the header, document ends and hashes are covered by the content
// digest, which is checked at opening. README.md of this room lists datasets and attributes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/digest.h"
#include "runtime/dtype.h"
#include "runtime/files.h"

namespace trireme::data {

inline constexpr char kShardFormat[] = "trireme-tokens";
inline constexpr int64_t kShardVersionMajor = 1;  ///< a reader refuses another one
inline constexpr int64_t kShardVersionMinor = 0;
inline constexpr int64_t kShardBlockBytes = int64_t{4} << 20;

/// What every shard of a split has in common.
struct ShardIdentity {
  int64_t vocabulary_size = 0;
  int32_t end_of_text = 0;
  std::string tokenizer_digest;
  std::string split;  ///< "train" or "validation"
};

/// The rest of a shard's header.
struct ShardContent {
  int64_t tokens = 0;
  int64_t documents = 0;  ///< that end in this shard
  int64_t max_id = 0;
  std::string digest;  ///< content_digest() below
};

/// u16 where every id fits, else i32.
runtime::DType token_dtype(int64_t vocabulary_size);

/// SHA-256 over the header as text, the document ends and the block hashes as they lie in the file.
std::string content_digest(const ShardIdentity& identity, const ShardContent& content,
                           std::span<const int64_t> document_ends, std::span<const std::byte> block_hashes);

/// A hash as 16 bytes in XXH3's canonical order (big endian, high half first).
void store_hash(const runtime::Hash128& hash, std::span<std::byte, 16> bytes);

class TokenShard {
 public:
  /// Opens and checks everything but the tokens. A file that is no shard, of another major version, cut short or
  /// changed, or of a tokenizer other than `tokenizer_digest` (when given) is Error(data) naming the file.
  TokenShard(runtime::Files& files, const std::string& path, const std::optional<std::string>& tokenizer_digest);

  /// Tokens [begin, begin + ids.size()). A block that is touched for the first time is read whole and held against its
  /// hash and the vocabulary; Error(data) names the file and the block. May be called from several threads.
  void read(int64_t begin, std::span<int32_t> ids) const;

  const ShardIdentity& identity() const { return identity_; }
  const ShardContent& content() const { return content_; }

 private:
  void check_blocks(int64_t begin, int64_t end) const;
  void check_block(int64_t block) const;
  void read_unchecked(int64_t begin, std::span<int32_t> ids) const;

  std::string path_;
  std::unique_ptr<runtime::File> file_;
  ShardIdentity identity_;
  ShardContent content_;
  runtime::DType dtype_ = runtime::DType::u16;
  int64_t tokens_offset_bytes_ = 0;
  std::vector<std::byte> block_hashes_;                // 16 a block
  mutable std::vector<std::atomic<bool>> is_checked_;  // two threads may check the same block: harmless
};

}  // namespace trireme::data
