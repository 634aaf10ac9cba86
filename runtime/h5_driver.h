// HDF5's virtual file driver over a File. HDF5 never learns that a write failed: on its own ways out of a failure it
// leaves files open that nothing can close any more, and reports success for files with holes. So the driver keeps the
// first failure, writes nothing from then on and tells HDF5 that all is well; whoever called HDF5 asks with check().
// Included by h5_*.cpp only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include "runtime/files.h"
#include "runtime/h5_handle.h"

namespace trireme::runtime::h5 {

/// A file below HDF5. It must outlive every HDF5 file that was opened on it.
class DrivenFile {
 public:
  explicit DrivenFile(std::unique_ptr<File> file) : file_(std::move(file)), end_bytes_(file_->size_bytes()) {}
  DrivenFile(const DrivenFile&) = delete;
  DrivenFile& operator=(const DrivenFile&) = delete;

  File& file() { return *file_; }
  int64_t end_bytes() const { return end_bytes_; }

  /// A property list with which H5Fcreate and H5Fopen open this file, whatever name they are given (`path` is for
  /// errors): metadata with checksums, no file locks (a run has its own).
  Handle access(const std::string& path);

  /// Throws the failure that was kept, if any. To be asked after each call of HDF5, whatever it returned.
  void check() const;
  bool failed() const { return failure_ != nullptr; }
  /// Writes nothing from now on: what HDF5 still holds is not wanted.
  void abandon() { abandoned_ = true; }

  // What HDF5 calls through the driver; data that passes it by is written with the same write(). None throws: a failure
  // is kept. After one, write and resize do nothing, read returns false.
  bool read(int64_t offset, std::span<std::byte> bytes);  ///< zeros beyond the end of the file
  void write(int64_t offset, std::span<const std::byte> bytes);
  void resize(int64_t bytes);

 private:
  bool writable() const { return !failed() && !abandoned_; }

  std::unique_ptr<File> file_;
  int64_t end_bytes_ = 0;  ///< the file's length
  std::exception_ptr failure_;
  bool abandoned_ = false;
};

}  // namespace trireme::runtime::h5
