#include "data/token_shard_format.h"

#include <cstring>

namespace trireme::data {

using runtime::DType;

void store_entry(const DocumentEntry& entry, std::span<std::byte, kDocumentEntryBytes> bytes) {
  std::memcpy(bytes.data(), &entry.end, 8);
  store_hash(entry.hash, bytes.subspan<8, kHashBytes>());
  std::memcpy(bytes.data() + 24, &entry.source, 4);
  std::memcpy(bytes.data() + 28, &entry.row, 8);
}

DocumentEntry load_entry(std::span<const std::byte, kDocumentEntryBytes> bytes) {
  DocumentEntry entry{.hash = load_hash(bytes.subspan<8, kHashBytes>())};
  std::memcpy(&entry.end, bytes.data(), 8);
  std::memcpy(&entry.source, bytes.data() + 24, 4);
  std::memcpy(&entry.row, bytes.data() + 28, 8);
  return entry;
}

DType token_dtype(int64_t vocabulary_size) {
  return vocabulary_size <= 65536 ? DType::u16 : DType::i32;
}

int64_t block_count(int64_t tokens, DType dtype) {
  return (tokens * runtime::size_bytes(dtype) + kShardBlockBytes - 1) / kShardBlockBytes;
}

void store_hash(const runtime::Hash128& hash, std::span<std::byte, kHashBytes> bytes) {
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::byte>(hash.high >> (56 - 8 * i));
    bytes[8 + i] = static_cast<std::byte>(hash.low >> (56 - 8 * i));
  }
}

runtime::Hash128 load_hash(std::span<const std::byte, kHashBytes> bytes) {
  runtime::Hash128 hash;
  for (size_t i = 0; i < 8; ++i) {
    hash.high = hash.high << 8 | std::to_integer<uint64_t>(bytes[i]);
    hash.low = hash.low << 8 | std::to_integer<uint64_t>(bytes[8 + i]);
  }
  return hash;
}

ContentDigest::ContentDigest(const ShardIdentity& identity, const ShardContent& content) {
  std::string header = std::string(kShardFormat) + " " + std::to_string(kShardVersionMajor);
  for (const int64_t number :
       {identity.vocabulary_size, int64_t{identity.end_of_text}, content.tokens, content.documents, content.max_id}) {
    header += " " + std::to_string(number);
  }
  header += " " + identity.split + " " + identity.tokenizer_digest;
  header += " " + (identity.unicode_version.empty() ? "-" : identity.unicode_version);
  header += " " + (identity.tokenizer_mode.empty() ? "-" : identity.tokenizer_mode) + "\n";
  update(std::as_bytes(std::span(header)));
}

}  // namespace trireme::data
