#include "data/token_shard_writer.h"

#include <algorithm>
#include <cassert>

#include "runtime/error.h"
#include "runtime/h5.h"

namespace trireme::data {

using runtime::DType;
using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr size_t kBufferTokens = size_t{1} << 18;

template <typename Id>
void append_as(std::span<const int32_t> ids, std::vector<std::byte>& bytes) {
  const size_t begin = bytes.size();
  bytes.resize(begin + ids.size() * sizeof(Id));
  std::ranges::copy(ids, reinterpret_cast<Id*>(bytes.data() + begin));
}

}  // namespace

TokenShardWriter::TokenShardWriter(runtime::Files& files, std::string path, ShardIdentity identity)
    : files_(files),
      path_(std::move(path)),
      identity_(std::move(identity)),
      dtype_(token_dtype(identity_.vocabulary_size)) {
  files_.remove_all(path_ + ".spool");
  files_.remove_all(path_ + ".tmp");
  spool_ = files_.create(path_ + ".spool");
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
    const std::span<const int32_t> part = ids.first(std::min(ids.size(), kBufferTokens));
    dtype_ == DType::u16 ? append_as<uint16_t>(part, buffer_) : append_as<int32_t>(part, buffer_);
    if (buffer_.size() >= kBufferTokens * sizeof(int32_t)) flush();
    ids = ids.subspan(part.size());
  }
}

void TokenShardWriter::end_document() {
  document_ends_.push_back(content_.tokens);
}

void TokenShardWriter::flush() {
  spool_->append(buffer_);
  buffer_.clear();
}

ShardContent TokenShardWriter::finish() {
  assert(content_.tokens > 0);
  flush();
  spool_ = files_.open(path_ + ".spool");
  content_.documents = static_cast<int64_t>(document_ends_.size());
  const std::string temporary = path_ + ".tmp";
  write_shard(temporary);
  spool_.reset();
  files_.open(temporary)->sync();
  files_.rename(temporary, path_);
  files_.remove_all(path_ + ".spool");
  return content_;
}

void TokenShardWriter::write_shard(const std::string& path) {
  const int64_t id_bytes = runtime::size_bytes(dtype_);
  const int64_t block_tokens = kShardBlockBytes / id_bytes;
  const int64_t blocks = (content_.tokens + block_tokens - 1) / block_tokens;
  runtime::H5Writer writer(files_, path);

  const auto tokens = writer.create("/tokens", dtype_, std::vector<int64_t>{content_.tokens});
  std::vector<std::byte> block_hashes(static_cast<size_t>(blocks) * 16);
  std::vector<std::byte> bytes;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * block_tokens;
    const int64_t count = std::min(block_tokens, content_.tokens - begin);
    bytes.resize(static_cast<size_t>(count * id_bytes));
    spool_->read_at(begin * id_bytes, bytes);
    writer.write(tokens, begin, {{bytes.data(), dtype_, {count}}});
    store_hash(runtime::xxh3_128(bytes), std::span(block_hashes).subspan(static_cast<size_t>(block) * 16).first<16>());
  }
  const auto hashes = writer.create("/block_xxh3", DType::u8, std::vector<int64_t>{blocks, 16});
  writer.write(hashes, 0, {{block_hashes.data(), DType::u8, {blocks, 16}}});
  if (content_.documents > 0) {  // a document longer than a shard may leave one without an end
    const auto ends = writer.create("/doc_ends", DType::i64, std::vector<int64_t>{content_.documents});
    writer.write(ends, 0, {{document_ends_.data(), DType::i64, {content_.documents}}});
  }
  content_.digest = content_digest(identity_, content_, document_ends_, block_hashes);

  const auto number = [&writer](const std::string& name, int64_t value) {
    writer.attribute("/", name, std::span<const int64_t>(&value, 1));
  };
  writer.attribute("/", "format", kShardFormat);
  number("version_major", kShardVersionMajor);
  number("version_minor", kShardVersionMinor);
  writer.attribute("/", "byte_order", "little");
  writer.attribute("/", "split", identity_.split);
  writer.attribute("/", "tokenizer_digest", identity_.tokenizer_digest);
  number("vocabulary_size", identity_.vocabulary_size);
  number("end_of_text", identity_.end_of_text);
  number("tokens", content_.tokens);
  number("documents", content_.documents);
  number("max_id", content_.max_id);
  writer.attribute("/", "content_digest", content_.digest);
  writer.finish();
}

}  // namespace trireme::data
