#include "data/token_dataset.h"

#include <algorithm>

#include "data/dataset_manifest.h"
#include "data/tokenizer.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// The manifest and the shards must tell the same story: a shard may have been taken from another dataset.
void check_shard(const DatasetManifest& manifest, const ShardEntry& entry, const std::string& split,
                 const std::string& path, const TokenShard& shard) {
  const bool is_same = shard.content().digest == entry.content_digest && shard.content().tokens == entry.tokens &&
                       shard.identity().split == split &&
                       shard.identity().vocabulary_size == manifest.vocabulary_size &&
                       shard.identity().end_of_text == manifest.end_of_text;
  if (!is_same) {
    throw Error(ErrorKind::data, path + " is not the shard that dataset.json describes: prepare the data again");
  }
}

}  // namespace

TokenDataset::TokenDataset(runtime::Files& files, const std::string& directory, const std::string& split)
    : name_(directory + " (" + split + ")") {
  DatasetManifest manifest = read_manifest(files, directory);
  if (tokenizer_digest(manifest.tokenizer) != manifest.tokenizer_digest) {
    throw Error(ErrorKind::data, manifest_path(directory) +
                                     " describes another tokenizer than its digest: it is damaged, prepare again");
  }
  const auto found = manifest.splits.find(split);
  if (found == manifest.splits.end() || found->second.shards.empty()) {
    throw Error(ErrorKind::data,
                directory + " has no " + split + " split: prepare the data again with --validation-fraction above 0");
  }
  std::string identity = manifest.tokenizer_digest + "\n" + split + "\n";
  for (const ShardEntry& entry : found->second.shards) {
    const std::string path = directory + "/" + entry.file;
    if (!files.exists(path)) {
      throw Error(ErrorKind::data, path + " is missing, but dataset.json lists it: prepare the data again");
    }
    auto shard = std::make_unique<TokenShard>(files, path, manifest.tokenizer_digest);
    check_shard(manifest, entry, split, path, *shard);
    begins_.push_back(begins_.back() + shard->content().tokens);
    identity += shard->content().digest + "\n";
    shards_.push_back(std::move(shard));
  }
  tokenizer_ = std::move(manifest.tokenizer);
  vocabulary_size_ = manifest.vocabulary_size;
  end_of_text_ = static_cast<int32_t>(manifest.end_of_text);
  digest_ = runtime::sha256(identity);
}

void TokenDataset::read(int64_t begin, std::span<int32_t> ids) const {
  const int64_t end = begin + static_cast<int64_t>(ids.size());
  if (begin < 0 || end > tokens()) {
    throw Error(ErrorKind::internal, name_ + " has no tokens [" + std::to_string(begin) + ", " + std::to_string(end) +
                                         "), only " + std::to_string(tokens()));
  }
  auto shard = static_cast<size_t>(std::ranges::upper_bound(begins_, begin) - begins_.begin()) - 1;
  while (!ids.empty()) {
    const auto count = std::min(ids.size(), static_cast<size_t>(begins_[shard + 1] - begin));
    shards_[shard]->read(begin - begins_[shard], ids.first(count));
    ids = ids.subspan(count);
    begin += static_cast<int64_t>(count);
    ++shard;
  }
}

bool has_split(runtime::Files& files, const std::string& directory, const std::string& split) {
  return read_manifest(files, directory).splits.contains(split);
}

}  // namespace trireme::data
