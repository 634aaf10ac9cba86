// The documents of one split as a row of shards: a shard is closed when it has its number of tokens, whatever document
// that cuts. It does not decide which documents come.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "data/dataset_manifest.h"
#include "data/token_shard_writer.h"
#include "runtime/files.h"

namespace trireme::data {

/// How far a split was written: what another SplitWriter needs to go on.
struct SplitState {
  SplitManifest manifest;                     ///< so far; shards that are closed
  std::optional<UnfinishedShard> open_shard;  ///< waits in its spool files
  bool operator==(const SplitState&) const = default;
};

class SplitWriter {
 public:
  /// Shards are `directory`/SPLIT-00000.h5 and so on, SPLIT from `identity`, of `shard_tokens` tokens at most. Goes on
  /// from `resumed`; what a former writer wrote after that state is lost, as it must be.
  SplitWriter(runtime::Files& files, std::string directory, ShardIdentity identity, int64_t shard_tokens,
              SplitState resumed = {});

  /// A part of a document; `text_bytes` is for the count.
  void append(int64_t text_bytes, std::span<const int32_t> ids);
  /// Appends end of text. `document.end` is filled in here.
  void end_document(const DocumentEntry& document);

  /// All up to now is durable in files when this returns.
  SplitState sync();
  /// Removes the spool files of closed shards. Only when a state from after their end was recorded: an older one needs
  /// them.
  void remove_old_spools();
  /// Closes the last shard. Call once.
  SplitManifest finish();

 private:
  void append_tokens(std::span<const int32_t> ids);
  void open_shard(const UnfinishedShard& resumed);
  void close_shard();
  std::string shard_path(size_t index) const;

  runtime::Files& files_;
  std::string directory_;
  ShardIdentity identity_;
  int64_t shard_tokens_;
  std::unique_ptr<TokenShardWriter> shard_;  // null between shards
  SplitManifest manifest_;
  size_t spools_removed_;  // of shards before this one
};

/// "train-00000.h5"
std::string shard_name(const std::string& split, size_t index);

/// Whether a file of this name may be what an interrupted `prepare` left in its directory.
bool is_shard_file_name(const std::string& name);

/// Whether it is one that a finished dataset has no use for.
bool is_work_file_name(const std::string& name);

/// Why nobody can go on from `state` in `directory`, as "train-00000.h5.spool is missing"; nothing when the files that
/// it speaks of hold what it says. Reads them all: they are about as long as the text, which is read then anyway.
std::optional<std::string> resume_damage(runtime::Files& files, const std::string& directory,
                                         const ShardIdentity& identity, const SplitState& state);

}  // namespace trireme::data
