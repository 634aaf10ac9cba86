// Writes one token shard (format: token_shard.h). Tokens come in any number of pieces; until finish() knows how many
// there are they wait in a spool file beside the shard, so that memory stays small. The shard gets its name last.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/token_shard.h"
#include "runtime/files.h"

namespace trireme::data {

class TokenShardWriter {
 public:
  /// Debris of an interrupted writer at `path`.spool and `path`.tmp is removed; `path` itself must not exist.
  TokenShardWriter(runtime::Files& files, std::string path, ShardIdentity identity);

  /// Ids must be in the vocabulary: Error(internal) otherwise.
  void append(std::span<const int32_t> ids);
  /// The last token appended was a document's end of text.
  void end_document();

  int64_t tokens() const { return content_.tokens; }

  /// Writes, syncs and renames the shard, and removes the spool; nothing durable before. At least one token. Call once.
  ShardContent finish();

 private:
  void flush();
  void write_shard(const std::string& path);

  runtime::Files& files_;
  std::string path_;
  ShardIdentity identity_;
  ShardContent content_;
  runtime::DType dtype_;
  std::unique_ptr<runtime::File> spool_;
  std::vector<std::byte> buffer_;  // what the spool has not got yet
  std::vector<int64_t> document_ends_;
};

}  // namespace trireme::data
