// What the writer and the reader of h5.h share: handles that close themselves, and HDF5's error stack as an Error.
// Identifiers and results are hid_t and herr_t under their plain names, so that this header needs none of HDF5's.
// Included by h5_*.cpp only.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "runtime/dtype.h"
#include "runtime/error.h"

namespace trireme::runtime::h5 {

/// Turns off the library's own printing (kept per thread) and its handler at exit, which could hide a failed flush.
/// Cheap; first line of every function that calls HDF5.
void prepare_thread();

/// "cannot `doing` `path`: HDF5: reason", the reason being the innermost description on HDF5's error stack. A disk that
/// refuses is not among them (h5_driver.h).
Error failure(const std::string& doing, const std::string& path, ErrorKind kind);

/// An HDF5 identifier and the function that closes it.
class Handle {
 public:
  using Close = int (*)(int64_t);
  Handle() = default;
  Handle(int64_t id, Close how) : id_(id), close_(how) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, kNone)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }

  int64_t id() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// False when HDF5 could not write what it still held.
  bool close() { return id_ < 0 || close_(std::exchange(id_, kNone)) >= 0; }

 private:
  static constexpr int64_t kNone = -1;
  int64_t id_ = kNone;
  Close close_ = nullptr;
};

/// The little-endian file type, which is also the memory type: HDF5 converts nothing.
int64_t type_of(DType dtype);

}  // namespace trireme::runtime::h5
