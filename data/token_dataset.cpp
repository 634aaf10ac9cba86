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
    const int64_t last_end = shards_.empty() ? 0 : shards_.back()->documents().last_end();
    if (last_end > 0) {
      open_begins_.push_back(begins_[begins_.size() - 2] + last_end);
    } else {  // no document ends in the shard before, if there is one
      open_begins_.push_back(shards_.empty() ? 0 : open_begins_.back());
    }
    begins_.push_back(begins_.back() + shard->content().tokens);
    identity += shard->content().digest + "\n";
    shards_.push_back(std::move(shard));
  }
  if (begins_.back() != found->second.tokens) {
    throw Error(ErrorKind::data, manifest_path(directory) + " is damaged: it counts " +
                                     std::to_string(found->second.tokens) + " tokens of " + split +
                                     ", and its shards " + std::to_string(begins_.back()) + "; remove " + directory +
                                     " and prepare again");
  }
  if (shards_.back()->documents().last_end() != shards_.back()->content().tokens) {
    throw Error(ErrorKind::data, shards_.back()->path() + " ends inside a document: prepare the data again");
  }
  sources_ = std::move(manifest.sources);
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
  size_t shard = shard_of(begin);
  while (!ids.empty()) {
    const auto count = std::min(ids.size(), static_cast<size_t>(begins_[shard + 1] - begin));
    shards_[shard]->read(begin - begins_[shard], ids.first(count));
    ids = ids.subspan(count);
    begin += static_cast<int64_t>(count);
    ++shard;
  }
}

void TokenDataset::check_all(const std::function<void(int64_t tokens)>& progress) const {
  constexpr int64_t kPartTokens = int64_t{16} << 20;
  for (size_t shard = 0; shard < shards_.size(); ++shard) {
    const int64_t tokens = shards_[shard]->content().tokens;
    for (int64_t begin = 0; begin < tokens; begin += kPartTokens) {
      const int64_t end = std::min(begin + kPartTokens, tokens);
      shards_[shard]->check(begin, end);
      if (progress) progress(begins_[shard] + end);
    }
  }
}

std::vector<DocumentSpan> TokenDataset::documents(int64_t begin, int64_t end) const {
  if (begin < 0 || begin > end || end > tokens()) {
    throw Error(ErrorKind::internal, name_ + " has no tokens [" + std::to_string(begin) + ", " + std::to_string(end) +
                                         "), only " + std::to_string(tokens()));
  }
  std::vector<DocumentSpan> spans;
  if (begin == end) return spans;
  size_t shard = shard_of(begin);
  int64_t document = shards_[shard]->documents().first_behind(begin - begins_[shard]);
  int64_t span_begin = open_begins_[shard];
  if (document > 0) span_begin = begins_[shard] + shards_[shard]->documents().end_of(document - 1);
  while (span_begin < end) {  // the last shard ends with a document's end
    const TokenShard& in = *shards_[shard];
    // One more than those that end in the range: it reaches behind it.
    const int64_t last = std::min(in.documents().first_behind(end - 1 - begins_[shard]) + 1, in.content().documents);
    for (const DocumentEntry& entry : in.documents().entries(document, last - document)) {
      if (entry.source < 0 || entry.source >= std::ssize(sources_)) {
        throw Error(ErrorKind::data, in.path() + " names a text file (number " + std::to_string(entry.source) +
                                         ") that dataset.json does not list: prepare the data again");
      }
      const int64_t span_end = begins_[shard] + entry.end;
      spans.push_back({.begin = span_begin,
                       .end = span_end,
                       .file = sources_[static_cast<size_t>(entry.source)],
                       .row = entry.row,
                       .hash = entry.hash});
      span_begin = span_end;
    }
    document = 0;
    ++shard;
  }
  return spans;
}

size_t TokenDataset::shard_of(int64_t token) const {
  return static_cast<size_t>(std::ranges::upper_bound(begins_, token) - begins_.begin()) - 1;
}

bool has_split(runtime::Files& files, const std::string& directory, const std::string& split) {
  return read_manifest(files, directory).splits.contains(split);
}

}  // namespace trireme::data
