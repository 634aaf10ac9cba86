// Writes one token shard (token_shard_format.h). Tokens and documents come in any number of pieces; until finish()
// knows how many there are they wait in spool files beside the shard, so that memory stays small and a later process
// can go on. The shard gets its name last.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "data/spool_file.h"
#include "data/token_shard_format.h"
#include "runtime/files.h"
#include "runtime/h5.h"

namespace trireme::data {

/// A shard that is not whole: what another TokenShardWriter needs to go on from its spool files.
struct UnfinishedShard {
  ShardContent content;          ///< without digest
  runtime::Hash128 tokens_hash;  ///< of the spools' bytes for `content`
  runtime::Hash128 documents_hash;
  bool operator==(const UnfinishedShard&) const = default;
};

class TokenShardWriter {
 public:
  /// Debris of an interrupted writer at `path`.tmp, .spool and .documents is removed; `path` itself must not exist.
  /// With what a former writer's sync() returned, this one goes on from there: debris is what that one wrote later.
  TokenShardWriter(runtime::Files& files, std::string path, ShardIdentity identity,
                   const UnfinishedShard& resumed = {});

  /// Ids must be in the vocabulary: Error(internal) otherwise.
  void append(std::span<const int32_t> ids);
  /// The last token appended was a document's end of text. `document.end` is filled in here.
  void end_document(DocumentEntry document);

  int64_t tokens() const { return content_.tokens; }

  /// What was appended so far is durable in the spool files when this returns; the state to go on from.
  UnfinishedShard sync();
  /// Writes, syncs and renames the shard; nothing of it is at its name before. The spools stay, see remove_spools(). At
  /// least one token. A spool that gives back something else than was appended is Error(io). Call once.
  ShardContent finish();

  /// Removes the spool files of the shard at `path`.
  static void remove_spools(runtime::Files& files, const std::string& path);
  /// Why no writer can go on from `state`, as "PATH.spool is missing"; nothing when the spool files hold what it says.
  /// Reads them.
  static std::optional<std::string> damage(runtime::Files& files, const std::string& path,
                                           const ShardIdentity& identity, const UnfinishedShard& state);

 private:
  /// Of the spools of a shard with `state`.
  static SpoolMark tokens_mark(const ShardIdentity& identity, const UnfinishedShard& state);
  static SpoolMark documents_mark(const UnfinishedShard& state);

  void check_read_back(const SpoolFile& spool, const char* ending, const runtime::Xxh3Stream& read) const;
  void write_shard(const std::string& path);
  std::vector<std::byte> write_tokens(runtime::H5Writer& writer);
  void write_documents(runtime::H5Writer& writer, ContentDigest& digest);
  void write_attributes(runtime::H5Writer& writer);

  runtime::Files& files_;
  std::string path_;
  ShardIdentity identity_;
  ShardContent content_;
  runtime::DType dtype_;
  SpoolFile tokens_;
  SpoolFile documents_;
  std::vector<std::byte> narrow_;  // ids as they lie in the file
};

}  // namespace trireme::data
