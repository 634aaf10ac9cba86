// Writes one rank's slices into one HDF5 file and proves by reading it back that it holds them. Knows no other rank.
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

/// Durable when this returns. Equal slices give equal bytes. Throws Error(io), and Error(internal) for a slice whose
/// box, shape and data do not fit each other.
WrittenShard write_shard(runtime::Files& files, const std::string& directory, const std::string& name,
                         std::span<const TensorSlice> slices);

}  // namespace trireme::checkpoint
