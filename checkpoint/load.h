// Loads named tensors from a committed step into any layout: wherever a stored box and a wanted box meet, elements are
// copied. Data is read by pread at the recorded offsets and its CRC32C checked; HDF5 is not involved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/tensor_slice.h"
#include "runtime/communicator.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

/// Throws Error(io) when it is missing or cannot be read, Error(data) when it is damaged or of another step than a
/// directory named step-... says, Error(version) when it is of a format that is not known here.
Manifest read_manifest(runtime::Files& files, const std::string& step_directory);

/// Fills the views of `wanted`. Throws Error(data) naming the tensor or slice: absent, of another shape or dtype,
/// damaged; Error(io) naming the shard that is missing or cannot be read. The views then hold anything.
void load(runtime::Files& files, const std::string& step_directory, const Manifest& manifest,
          std::span<const TensorSlice> wanted);

/// All elements of one tensor, row-major. Throws as load() does.
std::vector<std::byte> read_tensor(runtime::Files& files, const std::string& step_directory, const Manifest& manifest,
                                   const StoredTensor& tensor);

struct Loaded {
  int64_t step = 0;
  Manifest manifest;
};

/// Collective: that step, or one error for all ranks, the first that any of them met; no other step is tried.
Loaded load_chosen(runtime::Files& files, runtime::Communicator& communicator, const std::string& checkpoints_directory,
                   int64_t step, std::span<const TensorSlice> wanted);

/// Collective; the same step on every rank. Tries the newest step first, of those up to `last_step`; when it is damaged
/// or a file of it is missing for any rank, all step back to the one before, and the first rank logs why. Any other
/// failure (a format that is not known here, a disk that does not answer, no memory) says nothing about the step: all
/// ranks throw it, with its own kind, and no older step is tried. Nothing when there is no such checkpoint; Error(data)
/// when none is good.
std::optional<Loaded> load_newest(runtime::Files& files, runtime::Communicator& communicator,
                                  const std::string& checkpoints_directory, std::span<const TensorSlice> wanted,
                                  int64_t last_step = std::numeric_limits<int64_t>::max());

}  // namespace trireme::checkpoint
