// HDF5 (the serial library) for contiguous datasets whose byte offset in the file is known, and for attributes. HDF5
// reaches the disk through `Files` (a virtual file driver of ours), so a test can stand in for it here too. Every
// return is checked: a failure of Files comes out as the exception it was, anything else as Error(io) or Error(data)
// with HDF5's own reason and the path. Data itself is written and read at the recorded offsets and passes HDF5 by.
// Threads may each have readers and writers of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/dtype.h"
#include "runtime/files.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// A dataset as it lies in the file.
struct H5Dataset {
  std::string path;  ///< "/tokens"
  DType dtype = DType::u8;
  std::vector<int64_t> shape;
  int64_t offset_bytes = 0;  ///< of the first element in the file
};

/// A new file (it must not exist) with metadata checksums, no times, no filters: equal input gives equal bytes. After a
/// failure all calls but file() throw, and the file is debris.
class H5Writer {
 public:
  H5Writer(Files& files, const std::string& path);
  /// An empty file that was created already, at `path`.
  H5Writer(std::unique_ptr<File> file, const std::string& path);
  ~H5Writer();
  H5Writer(const H5Writer&) = delete;
  H5Writer& operator=(const H5Writer&) = delete;

  /// Creates missing groups of `path`; the space is allocated at once, so that the offset is known. `shape` has an
  /// axis.
  H5Dataset create(const std::string& path, DType dtype, std::span<const int64_t> shape);
  /// Writes elements [begin, begin + count of `data`) of the flat dataset.
  void write(const H5Dataset& dataset, int64_t begin, ConstView data);
  /// On the object at `path` ("/" for the file).
  void attribute(const std::string& path, const std::string& name, const std::string& value);
  void attribute(const std::string& path, const std::string& name, std::span<const int64_t> value);
  /// Flush and close for HDF5; nothing is durable before the caller syncs file(). Without finish() the file is debris.
  void finish();
  /// The open file below; whole after finish(). Lives as long as the writer.
  File& file();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class H5Reader {
 public:
  H5Reader(Files& files, const std::string& path);
  ~H5Reader();
  H5Reader(const H5Reader&) = delete;
  H5Reader& operator=(const H5Reader&) = delete;

  H5Dataset dataset(const std::string& path);
  bool has_attribute(const std::string& path, const std::string& name);
  std::string text_attribute(const std::string& path, const std::string& name);
  std::vector<int64_t> integer_attribute(const std::string& path, const std::string& name);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::runtime
