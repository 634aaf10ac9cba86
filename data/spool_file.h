// A file that only grows, behind a buffer, and that a later process can go on with: what a shard is made of waits in
// such files until it is whole. It knows the hash of what it should hold, since nothing else covers that until then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/digest.h"
#include "runtime/files.h"

namespace trireme::data {

/// The beginning of a spool file.
struct SpoolMark {
  int64_t bytes = 0;
  runtime::Hash128 hash;  ///< XXH3-128 of these bytes
};

class SpoolFile {
 public:
  /// What `kept` marks of the file at `path` stays and is read once; when it is not as marked, Error(data). With no
  /// bytes kept the file is new and whatever lies there is removed.
  SpoolFile(runtime::Files& files, std::string path, const SpoolMark& kept);

  void append(std::span<const std::byte> bytes);
  /// Of all that was appended, the kept part included. Costs nothing.
  SpoolMark mark() const { return {.bytes = size_bytes_, .hash = hash_.peek()}; }
  void read_at(int64_t offset, std::span<std::byte> bytes);
  /// All that was appended is durable when this returns.
  void sync();

  /// What is wrong with the part of the file at `path` that `mark` speaks of, as "is missing"; nothing when it is as
  /// marked. Reads that part.
  static std::optional<std::string> damage(runtime::Files& files, const std::string& path, const SpoolMark& mark);

 private:
  void flush();

  std::unique_ptr<runtime::File> file_;
  std::vector<std::byte> buffer_;  // what the file has not got yet
  int64_t size_bytes_;
  runtime::Xxh3Stream hash_;  // of size_bytes_ bytes
};

}  // namespace trireme::data
