// The tensors of a step as one plain file of whole tensors, for other people's tools.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/files.h"

namespace trireme::checkpoint {

struct MergeRequest {
  std::string step_directory;
  std::string output;                        ///< what it ends with is its format: .h5 or .hdf5, .safetensors
  std::vector<std::string> tensors = {"*"};  ///< patterns over their names (selection.h)
  bool with_optimizer = false;               ///< all kinds, not parameters alone
  bool overwrite = false;
};

struct Merged {
  int64_t tensors = 0;
  int64_t bytes = 0;  ///< of their elements
};

/// Holds one tensor at a time; every byte that is read is checked against its CRC32C. The file appears whole and
/// durable under its name, or not at all: it is written as OUTPUT.tmp and renamed. Throws Error(usage) for an output
/// that is there or has no known ending and for a pattern that no tensor matches, else what load() throws.
Merged merge(runtime::Files& files, const MergeRequest& request);

}  // namespace trireme::checkpoint
