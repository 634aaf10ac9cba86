#include "data/split_writer.h"

#include <algorithm>
#include <string_view>

#include "data/token_shard.h"
#include "runtime/error.h"

namespace trireme::data {
namespace {

/// What follows "train-00000.h5" or the like in a file's name; nothing for other names.
std::optional<std::string_view> behind_shard_name(std::string_view name) {
  for (const std::string_view split : {"train-", "validation-"}) {
    if (!name.starts_with(split)) continue;
    name.remove_prefix(split.size());
    const size_t digits = name.find_first_not_of("0123456789");
    if (digits == std::string_view::npos || digits < 5 || !name.substr(digits).starts_with(".h5")) return std::nullopt;
    return name.substr(digits + 3);
  }
  return std::nullopt;
}

/// Whether the file at `path` is the closed shard `entry`, tokens included.
bool holds(runtime::Files& files, const std::string& path, const ShardEntry& entry) {
  try {
    const TokenShard shard(files, path, std::nullopt);
    if (shard.content().digest != entry.content_digest) return false;
    shard.check(0, shard.content().tokens);
    return true;
  } catch (const runtime::Error& error) {
    if (error.kind() != runtime::ErrorKind::data) throw;
    return false;
  }
}

}  // namespace

SplitWriter::SplitWriter(runtime::Files& files, std::string directory, ShardIdentity identity, int64_t shard_tokens,
                         SplitState resumed)
    : files_(files),
      directory_(std::move(directory)),
      identity_(std::move(identity)),
      shard_tokens_(shard_tokens),
      manifest_(std::move(resumed.manifest)),
      spools_removed_(manifest_.shards.size()) {
  if (resumed.open_shard.has_value()) open_shard(*resumed.open_shard);
}

void SplitWriter::append(int64_t text_bytes, std::span<const int32_t> ids) {
  manifest_.bytes += text_bytes;
  append_tokens(ids);
}

void SplitWriter::end_document(const DocumentEntry& document) {
  manifest_.documents += 1;
  append_tokens(std::span(&identity_.end_of_text, 1));
  shard_->end_document(document);
}

void SplitWriter::append_tokens(std::span<const int32_t> ids) {
  manifest_.tokens += static_cast<int64_t>(ids.size());
  while (!ids.empty()) {
    if (shard_ != nullptr && shard_->tokens() == shard_tokens_) close_shard();
    if (shard_ == nullptr) open_shard({});
    const size_t count = std::min(ids.size(), static_cast<size_t>(shard_tokens_ - shard_->tokens()));
    shard_->append(ids.first(count));
    ids = ids.subspan(count);
  }
}

void SplitWriter::open_shard(const UnfinishedShard& resumed) {
  shard_ = std::make_unique<TokenShardWriter>(files_, shard_path(manifest_.shards.size()), identity_, resumed);
}

void SplitWriter::close_shard() {
  const ShardContent content = shard_->finish();
  shard_.reset();
  manifest_.shards.push_back({.file = shard_name(identity_.split, manifest_.shards.size()),
                              .tokens = content.tokens,
                              .content_digest = content.digest});
}

SplitState SplitWriter::sync() {
  SplitState state{.manifest = manifest_, .open_shard = {}};
  if (shard_ != nullptr) state.open_shard = shard_->sync();
  return state;
}

void SplitWriter::remove_old_spools() {
  for (; spools_removed_ < manifest_.shards.size(); ++spools_removed_) {
    TokenShardWriter::remove_spools(files_, shard_path(spools_removed_));
  }
}

SplitManifest SplitWriter::finish() {
  if (shard_ != nullptr) close_shard();
  return manifest_;
}

std::string SplitWriter::shard_path(size_t index) const {
  return directory_ + "/" + shard_name(identity_.split, index);
}

std::string shard_name(const std::string& split, size_t index) {
  std::string digits = std::to_string(index);
  if (digits.size() < 5) digits.insert(0, 5 - digits.size(), '0');
  return split + "-" + digits + ".h5";
}

bool is_shard_file_name(const std::string& name) {
  return behind_shard_name(name) == "" || is_work_file_name(name);
}

bool is_work_file_name(const std::string& name) {
  const std::optional<std::string_view> ending = behind_shard_name(name);
  return ending == ".tmp" || ending == ".spool" || ending == ".documents" || name == "dataset.json.tmp" ||
         name == "tokenizer.json.tmp" || name == "prepare.json" || name == "prepare.json.tmp";
}

std::optional<std::string> resume_damage(runtime::Files& files, const std::string& directory,
                                         const ShardIdentity& identity, const SplitState& state) {
  for (const ShardEntry& shard : state.manifest.shards) {
    if (!files.exists(directory + "/" + shard.file)) return shard.file + " is missing";
    if (!holds(files, directory + "/" + shard.file, shard)) return shard.file + " does not match its hashes";
  }
  if (!state.open_shard.has_value()) return std::nullopt;
  const std::string name = shard_name(identity.split, state.manifest.shards.size());
  std::optional<std::string> damage =
      TokenShardWriter::damage(files, directory + "/" + name, identity, *state.open_shard);
  if (damage.has_value()) damage->erase(0, directory.size() + 1);
  return damage;
}

}  // namespace trireme::data
