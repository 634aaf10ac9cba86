// The documents of one split as a row of shards: a shard is closed when it has its number of tokens, whatever document
// that cuts. It does not decide which documents come.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "data/dataset_manifest.h"
#include "data/token_shard_writer.h"
#include "runtime/files.h"

namespace trireme::data {

class SplitWriter {
 public:
  /// Shards are `directory`/SPLIT-00000.h5 and so on, SPLIT from `identity`, of `shard_tokens` tokens at most.
  SplitWriter(runtime::Files& files, std::string directory, ShardIdentity identity, int64_t shard_tokens);

  /// Appends `ids` and end of text; `text_bytes` is for the count.
  void add_document(int64_t text_bytes, std::span<const int32_t> ids);
  /// Closes the last shard. Call once.
  SplitManifest finish();

 private:
  void append(std::span<const int32_t> ids);
  void close_shard();

  runtime::Files& files_;
  std::string directory_;
  ShardIdentity identity_;
  int64_t shard_tokens_;
  std::unique_ptr<TokenShardWriter> shard_;  // null between shards
  SplitManifest manifest_;
};

/// Whether a file of this name may be what an interrupted SplitWriter or manifest left in its directory.
bool is_shard_file_name(const std::string& name);

}  // namespace trireme::data
