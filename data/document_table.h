// Which documents end in a shard, read from its columns when somebody asks: a shard may hold tens of millions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/token_shard_format.h"
#include "runtime/files.h"
#include "runtime/h5.h"

namespace trireme::data {

class DocumentTable {
 public:
  /// The columns of the open shard `file` at `path`; they go through `digest`. Error(data) naming `path` when one is
  /// missing, cut short or impossible. `file` must outlive the table.
  DocumentTable(runtime::H5Reader& reader, runtime::File& file, const std::string& path, const ShardContent& content,
                ContentDigest& digest);

  /// Behind the last document that ends in the shard; 0 when none does.
  int64_t last_end() const { return last_end_; }
  /// The first document whose end is behind `token`; the number of documents when there is none. A read for each
  /// halving of the table.
  int64_t first_behind(int64_t token) const;
  /// Documents [first, first + count) of the table.
  std::vector<DocumentEntry> entries(int64_t first, int64_t count) const;
  int64_t end_of(int64_t document) const;

 private:
  void check_ends(const std::string& path, std::span<const std::byte> ends, int64_t tokens);

  runtime::File& file_;
  int64_t documents_;
  int64_t last_end_ = 0;
  std::array<int64_t, kDocumentColumns.size()> offsets_bytes_{};  // of the columns in the file
};

/// Where a dataset of known type and shape begins in the file; Error(data) naming `path` when it is another one or does
/// not lie inside the file.
int64_t dataset_offset(runtime::H5Reader& reader, const std::string& path, int64_t file_bytes,
                       const runtime::H5Dataset& expected);

}  // namespace trireme::data
