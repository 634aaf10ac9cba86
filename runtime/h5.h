// HDF5 (the serial library) for writing contiguous datasets whose byte offset in the file is known, and for reading
// attributes and offsets. Every return is checked and becomes Error(io) or Error(data) with HDF5's own reason and the
// path. Data is read by pread at the recorded offsets, never through HDF5. HDF5 is not called from two threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/dtype.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// A dataset as it lies in the file.
struct H5Dataset {
  std::string path;  ///< "/tokens"
  DType dtype = DType::u8;
  std::vector<int64_t> shape;
  int64_t offset_bytes = 0;  ///< of the first element in the file
};

/// A new file (it must not exist) with metadata checksums, no times, no filters: equal input gives equal bytes.
class H5Writer {
 public:
  explicit H5Writer(const std::string& path);
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
  /// Flush and close; nothing is durable before the caller syncs the file. Without finish() the file is debris.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class H5Reader {
 public:
  explicit H5Reader(const std::string& path);
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
