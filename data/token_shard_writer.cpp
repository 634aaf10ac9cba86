#include "data/token_shard_writer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>
#include <vector>

#include "runtime/error.h"

namespace trireme::data {

using runtime::DType;
using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr char kTokensSpool[] = ".spool";
constexpr char kDocumentsSpool[] = ".documents";
constexpr size_t kPartTokens = size_t{1} << 16;
constexpr int64_t kPartDocuments = int64_t{1} << 14;
constexpr auto kEntryBytes = static_cast<int64_t>(kDocumentEntryBytes);

template <typename Id>
void store_as(std::span<const int32_t> ids, std::vector<std::byte>& bytes) {
  bytes.resize(ids.size() * sizeof(Id));
  std::ranges::copy(ids, reinterpret_cast<Id*>(bytes.data()));
}

}  // namespace

TokenShardWriter::TokenShardWriter(runtime::Files& files, std::string path, ShardIdentity identity,
                                   const UnfinishedShard& resumed)
    : files_(files),
      path_(std::move(path)),
      identity_(std::move(identity)),
      content_(resumed.content),
      dtype_(token_dtype(identity_.vocabulary_size)),
      tokens_(files, path_ + kTokensSpool, tokens_mark(identity_, resumed)),
      documents_(files, path_ + kDocumentsSpool, documents_mark(resumed)) {
  files_.remove_all(path_ + ".tmp");
}

void TokenShardWriter::append(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= identity_.vocabulary_size) {
      throw Error(ErrorKind::internal, path_ + ": token id " + std::to_string(id) + " is outside the vocabulary of " +
                                           std::to_string(identity_.vocabulary_size));
    }
    content_.max_id = std::max<int64_t>(content_.max_id, id);
  }
  content_.tokens += static_cast<int64_t>(ids.size());
  while (!ids.empty()) {  // a document of any length goes through a buffer of fixed size
    const std::span<const int32_t> part = ids.first(std::min(ids.size(), kPartTokens));
    dtype_ == DType::u16 ? store_as<uint16_t>(part, narrow_) : store_as<int32_t>(part, narrow_);
    tokens_.append(narrow_);
    ids = ids.subspan(part.size());
  }
}

void TokenShardWriter::end_document(DocumentEntry document) {
  document.end = content_.tokens;
  std::array<std::byte, kDocumentEntryBytes> bytes;
  store_entry(document, bytes);
  documents_.append(bytes);
  content_.documents += 1;
}

UnfinishedShard TokenShardWriter::sync() {
  tokens_.sync();
  documents_.sync();
  return {.content = content_, .tokens_hash = tokens_.mark().hash, .documents_hash = documents_.mark().hash};
}

ShardContent TokenShardWriter::finish() {
  assert(content_.tokens > 0);
  const std::string temporary = path_ + ".tmp";
  write_shard(temporary);
  files_.open(temporary)->sync();
  files_.rename(temporary, path_);
  return content_;
}

void TokenShardWriter::remove_spools(runtime::Files& files, const std::string& path) {
  files.remove_all(path + kTokensSpool);
  files.remove_all(path + kDocumentsSpool);
}

SpoolMark TokenShardWriter::tokens_mark(const ShardIdentity& identity, const UnfinishedShard& state) {
  return {.bytes = state.content.tokens * runtime::size_bytes(token_dtype(identity.vocabulary_size)),
          .hash = state.tokens_hash};
}

SpoolMark TokenShardWriter::documents_mark(const UnfinishedShard& state) {
  return {.bytes = state.content.documents * kEntryBytes, .hash = state.documents_hash};
}

std::optional<std::string> TokenShardWriter::damage(runtime::Files& files, const std::string& path,
                                                    const ShardIdentity& identity, const UnfinishedShard& state) {
  const std::array<std::pair<std::string, SpoolMark>, 2> spools = {
      {{path + kTokensSpool, tokens_mark(identity, state)}, {path + kDocumentsSpool, documents_mark(state)}}};
  for (const auto& [spool, mark] : spools) {
    const std::optional<std::string> damage = SpoolFile::damage(files, spool, mark);
    if (damage.has_value()) return spool + " " + *damage;
  }
  return std::nullopt;
}

/// The shard's own hashes are made from what was read back: they would hide it.
void TokenShardWriter::check_read_back(const SpoolFile& spool, const char* ending,
                                       const runtime::Xxh3Stream& read) const {
  if (read.peek() == spool.mark().hash) return;
  throw Error(ErrorKind::io, path_ + ending + " gives back other bytes than were written: check the disk, then run " +
                                 "the same command again");
}

void TokenShardWriter::write_shard(const std::string& path) {
  runtime::H5Writer writer(files_, path);
  const std::vector<std::byte> block_hashes = write_tokens(writer);
  ContentDigest digest(identity_, content_);
  write_documents(writer, digest);
  digest.update(block_hashes);
  content_.digest = digest.finish();
  write_attributes(writer);
  writer.finish();
}

/// Returns the hashes of the blocks.
std::vector<std::byte> TokenShardWriter::write_tokens(runtime::H5Writer& writer) {
  const int64_t id_bytes = runtime::size_bytes(dtype_);
  const int64_t block_tokens = kShardBlockBytes / id_bytes;
  const int64_t blocks = block_count(content_.tokens, dtype_);
  const auto tokens = writer.create("/tokens", dtype_, std::vector<int64_t>{content_.tokens});
  std::vector<std::byte> block_hashes(static_cast<size_t>(blocks * kHashBytes));
  std::vector<std::byte> bytes;
  runtime::Xxh3Stream read;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * block_tokens;
    const int64_t count = std::min(block_tokens, content_.tokens - begin);
    bytes.resize(static_cast<size_t>(count * id_bytes));
    tokens_.read_at(begin * id_bytes, bytes);
    read.update(bytes);
    writer.write(tokens, begin, {{bytes.data(), dtype_, {count}}});
    store_hash(runtime::xxh3_128(bytes),
               std::span(block_hashes).subspan(static_cast<size_t>(block * kHashBytes)).first<kHashBytes>());
  }
  check_read_back(tokens_, kTokensSpool, read);
  const auto hashes = writer.create("/block_xxh3", DType::u8, std::vector<int64_t>{blocks, kHashBytes});
  writer.write(hashes, 0, {{block_hashes.data(), DType::u8, {blocks, kHashBytes}}});
  return block_hashes;
}

void TokenShardWriter::write_documents(runtime::H5Writer& writer, ContentDigest& digest) {
  if (content_.documents == 0) return;  // a document longer than a shard may leave one without an end
  std::vector<std::byte> entries;
  std::vector<std::byte> values;
  size_t at = 0;  // of the column in an entry
  for (const DocumentColumn& column : kDocumentColumns) {
    const auto width_bytes = static_cast<size_t>(column.width_bytes());
    std::vector<int64_t> shape = {content_.documents};
    if (column.width > 1) shape.push_back(column.width);
    runtime::Xxh3Stream read;
    const runtime::H5Dataset dataset = writer.create(column.dataset, column.dtype, shape);
    for (int64_t first = 0; first < content_.documents; first += kPartDocuments) {
      const int64_t count = std::min(kPartDocuments, content_.documents - first);
      entries.resize(static_cast<size_t>(count * kEntryBytes));
      documents_.read_at(first * kEntryBytes, entries);
      read.update(entries);
      values.resize(static_cast<size_t>(count) * width_bytes);
      for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
        std::memcpy(values.data() + i * width_bytes, entries.data() + i * kDocumentEntryBytes + at, width_bytes);
      }
      writer.write(dataset, first * column.width, {{values.data(), column.dtype, {count * column.width}}});
      digest.update(values);
    }
    check_read_back(documents_, kDocumentsSpool, read);
    at += width_bytes;
  }
}

void TokenShardWriter::write_attributes(runtime::H5Writer& writer) {
  const auto number = [&writer](const std::string& name, int64_t value) {
    writer.attribute("/", name, std::span<const int64_t>(&value, 1));
  };
  writer.attribute("/", "format", kShardFormat);
  number("version_major", kShardVersionMajor);
  number("version_minor", kShardVersionMinor);
  writer.attribute("/", "byte_order", kShardByteOrder);
  writer.attribute("/", "split", identity_.split);
  writer.attribute("/", "tokenizer_digest", identity_.tokenizer_digest);
  if (!identity_.unicode_version.empty()) writer.attribute("/", "unicode_version", identity_.unicode_version);
  if (!identity_.tokenizer_mode.empty()) writer.attribute("/", "tokenizer_mode", identity_.tokenizer_mode);
  number("vocabulary_size", identity_.vocabulary_size);
  number("end_of_text", identity_.end_of_text);
  number("tokens", content_.tokens);
  number("documents", content_.documents);
  number("max_id", content_.max_id);
  writer.attribute("/", "content_digest", content_.digest);
}

}  // namespace trireme::data
