// Writes one rank's slices into one HDF5 file, reads it back and syncs it. Knows no other rank. What is read back is
// what the system holds, mostly not yet from the disk: it finds what HDF5, the driver, a short write or memory did to
// the bytes. What the disk does to them later is for the checksums to find when they are loaded.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/tensor_slice.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

struct WrittenShard {
  StoredFile file;
  std::vector<StoredTensor> tensors;  ///< of the slices, one entry a slice
  std::vector<StoredSlice> slices;
};

/// Throws Error(internal) for a slice whose box, shape and view do not fit each other, or that has no axes.
void check_slice(const TensorSlice& slice);

/// Where the bytes of a shard come from: those of its slices one after another, in pieces that end with their slice.
class SliceBytes {
 public:
  virtual ~SliceBytes() = default;
  /// The next piece, not empty; it stays until the next call. May wait for it, and throws when it will never come.
  virtual std::span<const std::byte> next() = 0;
};

/// Durable when this returns. Equal slices give equal bytes. Throws Error(io), what `bytes` throws, and Error(internal)
/// for pieces that do not fit. The slices passed check_slice; their views are not looked into.
WrittenShard write_shard(runtime::Files& files, const std::string& directory, const std::string& name,
                         std::span<const TensorSlice> slices, SliceBytes& bytes);

}  // namespace trireme::checkpoint
