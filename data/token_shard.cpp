#include "data/token_shard.h"

#include <algorithm>
#include <array>

#include "runtime/error.h"
#include "runtime/h5.h"

namespace trireme::data {

using runtime::DType;
using runtime::Error;
using runtime::ErrorKind;

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::data, path + ": " + what);
}

/// "" where the file has none.
std::string text_if_there(runtime::H5Reader& reader, const std::string& name) {
  return reader.has_attribute("/", name) ? reader.text_attribute("/", name) : "";
}

int64_t integer(runtime::H5Reader& reader, const std::string& path, const std::string& name) {
  const std::vector<int64_t> values = reader.integer_attribute("/", name);
  if (values.size() != 1) refuse(path, "attribute " + name + " is not one number: the file is damaged");
  return values[0];
}

void check_format(runtime::H5Reader& reader, const std::string& path) {
  if (!reader.has_attribute("/", "format") || reader.text_attribute("/", "format") != kShardFormat) {
    refuse(path, "not a token shard: make one with `trireme prepare`");
  }
  const int64_t major = integer(reader, path, "version_major");
  if (major != kShardVersionMajor) {
    refuse(path, "token shard version " + std::to_string(major) + "." +
                     std::to_string(integer(reader, path, "version_minor")) + ", but this program reads version " +
                     std::to_string(kShardVersionMajor) + ": prepare the data again");
  }
  const std::string byte_order = text_if_there(reader, "byte_order");
  if (byte_order != kShardByteOrder) {
    refuse(path, "its byte_order is '" + byte_order + "', but this program reads " + kShardByteOrder +
                     ": prepare the data again");
  }
}

void check_numbers(const ShardIdentity& identity, const ShardContent& content, const std::string& path) {
  const bool is_sound = identity.vocabulary_size > 0 && identity.end_of_text >= 0 && content.tokens > 0 &&
                        content.documents >= 0 && content.documents <= content.tokens && content.max_id >= 0;
  if (!is_sound) refuse(path, "impossible sizes in its attributes: the file is damaged");
  if (std::max<int64_t>(content.max_id, identity.end_of_text) >= identity.vocabulary_size) {
    refuse(path, "token id " + std::to_string(content.max_id) + " is outside the vocabulary of " +
                     std::to_string(identity.vocabulary_size));
  }
}

template <typename Id>
void widen(std::span<const std::byte> bytes, std::span<int32_t> ids) {
  const Id* from = reinterpret_cast<const Id*>(bytes.data());
  std::copy_n(from, ids.size(), ids.begin());
}

template <typename Id>
bool all_within(std::span<const std::byte> bytes, int64_t max_id) {
  const std::span ids(reinterpret_cast<const Id*>(bytes.data()), bytes.size() / sizeof(Id));
  return std::ranges::all_of(ids, [max_id](Id id) { return id >= 0 && id <= max_id; });
}

}  // namespace

TokenShard::TokenShard(runtime::Files& files, const std::string& path,
                       const std::optional<std::string>& tokenizer_digest)
    : path_(path), file_(files.open(path)) {
  runtime::H5Reader reader(files, path);
  check_format(reader, path);
  identity_ = {.vocabulary_size = integer(reader, path, "vocabulary_size"),
               .end_of_text = static_cast<int32_t>(integer(reader, path, "end_of_text")),
               .tokenizer_digest = reader.text_attribute("/", "tokenizer_digest"),
               .split = reader.text_attribute("/", "split"),
               .unicode_version = text_if_there(reader, "unicode_version"),
               .tokenizer_mode = text_if_there(reader, "tokenizer_mode")};
  content_ = {.tokens = integer(reader, path, "tokens"),
              .documents = integer(reader, path, "documents"),
              .max_id = integer(reader, path, "max_id"),
              .digest = reader.text_attribute("/", "content_digest")};
  if (tokenizer_digest.has_value() && identity_.tokenizer_digest != *tokenizer_digest) {
    refuse(path, "made with another tokenizer (digest " + identity_.tokenizer_digest.substr(0, 12) + ", expected " +
                     tokenizer_digest->substr(0, 12) + "): prepare the data again with the right one");
  }
  check_numbers(identity_, content_, path);

  const int64_t file_bytes = file_->size_bytes();
  dtype_ = token_dtype(identity_.vocabulary_size);
  if (content_.tokens > file_bytes) refuse(path, "cut short: " + std::to_string(file_bytes) + " bytes");
  const int64_t blocks = block_count(content_.tokens, dtype_);
  tokens_offset_bytes_ =
      dataset_offset(reader, path, file_bytes, {.path = "/tokens", .dtype = dtype_, .shape = {content_.tokens}});
  const int64_t hashes_offset = dataset_offset(
      reader, path, file_bytes, {.path = "/block_xxh3", .dtype = DType::u8, .shape = {blocks, kHashBytes}});
  block_hashes_.resize(static_cast<size_t>(blocks * kHashBytes));
  file_->read_at(hashes_offset, block_hashes_);

  ContentDigest digest(identity_, content_);
  documents_.emplace(reader, *file_, path, content_, digest);
  digest.update(block_hashes_);
  if (digest.finish() != content_.digest) {
    refuse(path,
           "header, document table or block hashes do not match the content digest: the file is damaged, "
           "prepare the data again");
  }
  is_checked_ = std::vector<std::atomic<bool>>(static_cast<size_t>(blocks));
}

void TokenShard::read(int64_t begin, std::span<int32_t> ids) const {
  const int64_t end = begin + static_cast<int64_t>(ids.size());
  if (begin < 0 || end > content_.tokens) {
    throw Error(ErrorKind::internal, path_ + " has no tokens [" + std::to_string(begin) + ", " + std::to_string(end) +
                                         "), only " + std::to_string(content_.tokens));
  }
  if (ids.empty()) return;
  check(begin, end);
  read_unchecked(begin, ids);
}

void TokenShard::check(int64_t begin, int64_t end) const {
  const int64_t id_bytes = runtime::size_bytes(dtype_);
  const int64_t last = (end - 1) * id_bytes / kShardBlockBytes;
  for (int64_t block = begin * id_bytes / kShardBlockBytes; block <= last; ++block) {
    std::atomic<bool>& is_checked = is_checked_[static_cast<size_t>(block)];
    if (is_checked.load(std::memory_order_relaxed)) continue;
    check_block(block);
    is_checked.store(true, std::memory_order_relaxed);
  }
}

void TokenShard::check_block(int64_t block) const {
  const int64_t begin_bytes = block * kShardBlockBytes;
  const int64_t count_bytes = std::min(kShardBlockBytes, content_.tokens * runtime::size_bytes(dtype_) - begin_bytes);
  std::vector<std::byte> bytes(static_cast<size_t>(count_bytes));
  file_->read_at(tokens_offset_bytes_ + begin_bytes, bytes);
  std::array<std::byte, kHashBytes> hash;
  store_hash(runtime::xxh3_128(bytes), hash);
  const auto stored = std::span(block_hashes_).subspan(static_cast<size_t>(block * kHashBytes), kHashBytes);
  if (!std::ranges::equal(hash, stored)) {
    refuse(path_,
           "token block " + std::to_string(block) + " does not match its hash: the file is damaged, prepare again");
  }
  const bool is_within =
      dtype_ == DType::u16 ? all_within<uint16_t>(bytes, content_.max_id) : all_within<int32_t>(bytes, content_.max_id);
  if (!is_within)
    refuse(path_, "token block " + std::to_string(block) + " holds ids above the largest that it declares");
}

void TokenShard::read_unchecked(int64_t begin, std::span<int32_t> ids) const {
  if (dtype_ == DType::i32) {
    file_->read_at(tokens_offset_bytes_ + begin * 4, std::as_writable_bytes(ids));
    return;
  }
  alignas(8) std::array<std::byte, 16384> chunk;
  constexpr size_t kChunkIds = sizeof(chunk) / sizeof(uint16_t);
  for (size_t done = 0; done < ids.size(); done += kChunkIds) {
    const std::span<int32_t> part = ids.subspan(done, std::min(kChunkIds, ids.size() - done));
    const std::span<std::byte> bytes = std::span(chunk).first(part.size() * sizeof(uint16_t));
    file_->read_at(tokens_offset_bytes_ + (begin + static_cast<int64_t>(done)) * 2, bytes);
    widen<uint16_t>(bytes, part);
  }
}

}  // namespace trireme::data
