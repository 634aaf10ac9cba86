// What a token shard is, for its writer and its reader: what its header says, its datasets, its digest. README.md of
// this room lists datasets and attributes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/digest.h"
#include "runtime/dtype.h"

namespace trireme::data {

inline constexpr char kShardFormat[] = "trireme-tokens";
inline constexpr int64_t kShardVersionMajor = 2;     ///< a reader refuses another one
inline constexpr char kShardByteOrder[] = "little";  ///< of all datasets; a reader refuses another one
inline constexpr int64_t kShardVersionMinor = 0;
inline constexpr int64_t kShardBlockBytes = int64_t{4} << 20;
inline constexpr int64_t kHashBytes = 16;

/// What every shard of a split has in common.
struct ShardIdentity {
  int64_t vocabulary_size = 0;
  int32_t end_of_text = 0;
  std::string tokenizer_digest;
  std::string split;                 ///< "train" or "validation"
  std::string unicode_version = {};  ///< of the tokenizer's tables; "": it has none
  std::string tokenizer_mode = {};   ///< "merges" or "ranks" of byte pair encoding; "": another kind
};

/// The rest of a shard's header.
struct ShardContent {
  int64_t tokens = 0;
  int64_t documents = 0;  ///< that end in this shard
  int64_t max_id = 0;
  std::string digest = {};  ///< of a ContentDigest; known at the end
  bool operator==(const ShardContent&) const = default;
};

/// A document as the shard in which it ends records it.
struct DocumentEntry {
  int64_t end = 0;        ///< index in the shard's tokens behind its end of text
  runtime::Hash128 hash;  ///< XXH3-128 of its text
  int32_t source = 0;     ///< index of its file in dataset.json's list
  int64_t row = 0;        ///< line of a .jsonl file, or number of the document in its file, from 1
  bool operator==(const DocumentEntry&) const = default;
};

/// The columns in which a shard holds its entries; absent when no document ends in it.
struct DocumentColumn {
  const char* dataset;
  runtime::DType dtype;
  int64_t width;  ///< elements of a document; above 1 the dataset has an axis for them
  int64_t width_bytes() const { return width * runtime::size_bytes(dtype); }
};
inline constexpr std::array<DocumentColumn, 4> kDocumentColumns = {{{"/doc_ends", runtime::DType::i64, 1},
                                                                    {"/doc_hash", runtime::DType::u8, kHashBytes},
                                                                    {"/doc_source", runtime::DType::i32, 1},
                                                                    {"/doc_row", runtime::DType::i64, 1}}};

/// An entry's values in the order of the columns: how it waits in the writer's spool.
inline constexpr size_t kDocumentEntryBytes = 8 + kHashBytes + 4 + 8;
void store_entry(const DocumentEntry& entry, std::span<std::byte, kDocumentEntryBytes> bytes);
DocumentEntry load_entry(std::span<const std::byte, kDocumentEntryBytes> bytes);

/// u16 where every id fits, else i32.
runtime::DType token_dtype(int64_t vocabulary_size);
/// Blocks of kShardBlockBytes, the last one shorter.
int64_t block_count(int64_t tokens, runtime::DType dtype);

/// A hash as 16 bytes in XXH3's canonical order (big endian, high half first), and back.
void store_hash(const runtime::Hash128& hash, std::span<std::byte, kHashBytes> bytes);
runtime::Hash128 load_hash(std::span<const std::byte, kHashBytes> bytes);

/// SHA-256 over the header as text, then what update() gets: the columns of kDocumentColumns one after the other and
/// the block hashes, as they lie in the file.
class ContentDigest {
 public:
  ContentDigest(const ShardIdentity& identity, const ShardContent& content);
  void update(std::span<const std::byte> bytes) { sha_.update(bytes); }
  /// 64 hexadecimal digits; call once.
  std::string finish() { return sha_.finish(); }

 private:
  runtime::Sha256 sha_;
};

}  // namespace trireme::data
