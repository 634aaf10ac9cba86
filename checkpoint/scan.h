// Reads a whole shard file once, in large pieces, and adds up its CRC32C and that of each slice in it.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

struct FileScan {
  StoredFile file;                      ///< as it is on disk
  std::vector<std::string> bad_slices;  ///< one line each, naming file, tensor and box
};

/// `slices` are those of this file, in any order. Throws Error(io) when it cannot be read.
FileScan scan_file(runtime::File& file, const std::string& name, std::vector<StoredSlice> slices);
FileScan scan_file(runtime::Files& files, const std::string& step_directory, const std::string& name,
                   std::vector<StoredSlice> slices);

/// "shard-00000-of-00001.h5: parameter of h.0.w [0:4]: CRC32C 0000ffff, not 1badcafe as recorded"
std::string slice_problem(const StoredSlice& slice, uint32_t found_crc32c);

}  // namespace trireme::checkpoint
