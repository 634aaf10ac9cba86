// dataset.json: what a prepared directory holds. It is written last, so that a directory without it is not a dataset.
// Plain data and its JSON form; it does not look at the shards.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "data/cleaning.h"
#include "runtime/files.h"

namespace trireme::data {

struct ShardEntry {
  std::string file;  ///< name inside the directory
  int64_t tokens = 0;
  std::string content_digest;
  bool operator==(const ShardEntry&) const = default;
};

struct SplitManifest {
  int64_t documents = 0;
  int64_t bytes = 0;   ///< of text, without separators
  int64_t tokens = 0;  ///< end of text included
  std::vector<ShardEntry> shards;
  bool operator==(const SplitManifest&) const = default;
};

struct DatasetManifest {
  boost::json::object tokenizer;  ///< its description
  std::string tokenizer_digest;
  int64_t vocabulary_size = 0;
  int64_t end_of_text = 0;
  std::string inputs_digest;
  std::vector<std::string> sources;  ///< the text files by their paths as `prepare` met them; shards name their index
  DocumentFates fates;               ///< what became of the documents that were read
  double validation_fraction = 0;
  std::optional<std::string> document_separator;
  std::string text_field;  ///< of .jsonl rows
  CleaningOptions cleaning;
  std::string unicode_version;  ///< of the normal form's tables; "": no normal form
  bool drop_duplicates = false;
  int64_t shard_tokens = 0;     ///< the most tokens in a shard
  boost::json::object learned;  ///< from what the tokenizer was learned (prepare_learned.h); empty: it was given
  std::map<std::string, SplitManifest> splits;
  bool operator==(const DatasetManifest&) const = default;
};

/// As dataset.json has them; from_json throws what Boost.JSON throws for what is missing or of another kind.
boost::json::object to_json(const DatasetManifest& manifest);
boost::json::object to_json(const SplitManifest& split);
SplitManifest split_from_json(const boost::json::object& object);

/// The path of `directory`'s manifest.
std::string manifest_path(const std::string& directory);

/// A directory that is missing or has no dataset.json is Error(usage), a dataset.json of another format or version, or
/// a damaged one, Error(data), one that cannot be read Error(io): one line naming it and the mend.
DatasetManifest read_manifest(runtime::Files& files, const std::string& directory);

/// Atomic and durable.
void write_manifest(runtime::Files& files, const std::string& directory, const DatasetManifest& manifest);

}  // namespace trireme::data
