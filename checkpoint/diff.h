// Compares two steps for whoever asks whether two runs did the same: tensors bit by bit, whatever the layouts they were
// saved from, and the training state. Run id, attempt, parent and layout do not count.
#pragma once

#include <string>
#include <vector>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// One line for each difference; empty when identical. A tensor that cannot be read is a difference; a manifest that
/// cannot be read throws (load.h). Holds two copies of the largest tensor.
std::vector<std::string> diff(runtime::Files& files, const std::string& a, const std::string& b);

}  // namespace trireme::checkpoint
