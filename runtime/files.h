// Every disk access of `checkpoint` and `data` goes through this interface, HDF5's own included (h5.h), so that a test
// can stand in for the disk. Failures are Error(io) naming the path and the system's reason; a short write is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::runtime {

/// An open file; closed (silently) by its destructor.
class File {
 public:
  virtual ~File() = default;
  virtual int64_t size_bytes() = 0;
  /// Reads exactly bytes.size() bytes at `offset`; a file that ends before is Error(data) naming both sizes.
  virtual void read_at(int64_t offset, std::span<std::byte> bytes) = 0;
  /// Writes all bytes at the end of the file.
  virtual void append(std::span<const std::byte> bytes) = 0;
  /// Writes all bytes at `offset`; the file grows where it must, with zeros in a gap.
  virtual void write_at(int64_t offset, std::span<const std::byte> bytes) = 0;
  /// Cuts the file, or lengthens it with zeros.
  virtual void resize(int64_t bytes) = 0;
  /// Begins to bring to the disk what was written so far and does not wait for it, so that sync() has less to do. A
  /// hint: it never fails.
  virtual void start_sync() = 0;
  /// The content is durable when this returns. Never retry it after a failure: the content is lost.
  virtual void sync() = 0;
};

class Files {
 public:
  virtual ~Files() = default;
  /// For reading.
  virtual std::unique_ptr<File> open(const std::string& path) = 0;
  /// An existing file for reading and writing.
  virtual std::unique_ptr<File> open_for_writing(const std::string& path) = 0;
  /// A new file for reading and writing; it must not exist.
  virtual std::unique_ptr<File> create(const std::string& path) = 0;
  /// Links are followed. False only for what is surely not there; when the system cannot tell, Error(io).
  virtual bool exists(const std::string& path) = 0;
  virtual bool is_directory(const std::string& path) = 0;
  /// Neither a directory nor a pipe, socket or device; links are followed.
  virtual bool is_regular_file(const std::string& path) = 0;
  /// The one absolute path of what exists, without links and dots.
  virtual std::string real_path(const std::string& path) = 0;
  /// Sorted names of a directory's entries.
  virtual std::vector<std::string> list(const std::string& directory) = 0;
  /// Creates missing parents too, each durably: the directory that it is added to is synced. An existing one is fine.
  virtual void make_directory(const std::string& path) = 0;
  /// Atomic. `to` must not exist when it is a non-empty directory.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  /// A file, or a directory with all it holds; a missing path is fine.
  virtual void remove_all(const std::string& path) = 0;
  /// Makes renames and creations inside `path` durable.
  virtual void sync_directory(const std::string& path) = 0;
};

/// The operating system's files.
Files& real_files();

/// The directory that holds `path`: "a" of "a/b" and of "a/b/", "." of "b".
std::string parent_directory(const std::string& path);

/// Whole small files. write_text_atomically goes through PATH.tmp, sync and rename, then syncs the directory.
std::string read_text(Files& files, const std::string& path);
void write_text_atomically(Files& files, const std::string& path, std::string_view text);

}  // namespace trireme::runtime
