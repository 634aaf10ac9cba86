// A file as a stream of bytes, decompressed on the way when its first bytes are those of gzip or zstandard. Memory is a
// chunk of the file and what the decompressor needs. It does not know what the bytes mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "data/decompressor.h"
#include "runtime/files.h"

namespace trireme::data {

class ByteSource {
 public:
  /// A compressed file is read in chunks of `chunk_bytes`. The name ending in .gz or .zst on content that is neither is
  /// Error(data): it is damaged, or somebody has decompressed it and kept the name.
  ByteSource(runtime::Files& files, std::string path, int64_t chunk_bytes);

  /// Fills `bytes` from its beginning; gives how many came, fewer than asked for only at the end. Compressed content
  /// that is damaged or cut is Error(data) naming the file and how far it was read.
  size_t read(std::span<char> bytes);

  /// Of the file as it lies on the disk: how far it was read.
  int64_t bytes_read() const { return read_bytes_; }
  int64_t size_bytes() const { return size_bytes_; }

 private:
  size_t read_plain(std::span<char> bytes);
  void read_chunk();
  Decompressor::Step decompress(std::span<char> output);
  std::string how_far() const;

  std::string path_;
  std::unique_ptr<runtime::File> file_;
  int64_t size_bytes_;
  int64_t chunk_bytes_;
  int64_t read_bytes_ = 0;
  int64_t produced_bytes_ = 0;                  // by the decompressor
  std::unique_ptr<Decompressor> decompressor_;  // null: the file is plain
  std::string chunk_;                           // of compressed bytes
  size_t begin_ = 0;                            // of what is not decompressed yet
};

/// `path` without .gz or .zst: the name of what is inside.
std::string_view name_inside(std::string_view path);

}  // namespace trireme::data
