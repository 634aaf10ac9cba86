#include "data/split_writer.h"

#include <algorithm>
#include <regex>

namespace trireme::data {
namespace {

std::string shard_name(const std::string& split, size_t index) {
  std::string digits = std::to_string(index);
  if (digits.size() < 5) digits.insert(0, 5 - digits.size(), '0');
  return split + "-" + digits + ".h5";
}

}  // namespace

SplitWriter::SplitWriter(runtime::Files& files, std::string directory, ShardIdentity identity, int64_t shard_tokens)
    : files_(files), directory_(std::move(directory)), identity_(std::move(identity)), shard_tokens_(shard_tokens) {}

void SplitWriter::add_document(int64_t text_bytes, std::span<const int32_t> ids) {
  manifest_.documents += 1;
  manifest_.bytes += text_bytes;
  append(ids);
  append(std::span(&identity_.end_of_text, 1));
  shard_->end_document();
}

void SplitWriter::append(std::span<const int32_t> ids) {
  manifest_.tokens += static_cast<int64_t>(ids.size());
  while (!ids.empty()) {
    if (shard_ != nullptr && shard_->tokens() == shard_tokens_) close_shard();
    if (shard_ == nullptr) {
      const std::string path = directory_ + "/" + shard_name(identity_.split, manifest_.shards.size());
      shard_ = std::make_unique<TokenShardWriter>(files_, path, identity_);
    }
    const size_t count = std::min(ids.size(), static_cast<size_t>(shard_tokens_ - shard_->tokens()));
    shard_->append(ids.first(count));
    ids = ids.subspan(count);
  }
}

void SplitWriter::close_shard() {
  const ShardContent content = shard_->finish();
  shard_.reset();
  manifest_.shards.push_back({.file = shard_name(identity_.split, manifest_.shards.size()),
                              .tokens = content.tokens,
                              .content_digest = content.digest});
}

SplitManifest SplitWriter::finish() {
  if (shard_ != nullptr) close_shard();
  return manifest_;
}

bool is_shard_file_name(const std::string& name) {
  static const std::regex pattern("(train|validation)-[0-9]{5,}\\.h5(\\.tmp|\\.spool)?|dataset\\.json\\.tmp");
  return std::regex_match(name, pattern);
}

}  // namespace trireme::data
