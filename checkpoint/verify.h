// Checks a whole step directory: the manifest, each file to its last byte, each slice, and that every tensor is there
// exactly once.
#pragma once

#include <string>
#include <vector>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// One line for each problem, naming file or tensor; empty when all is good. Does not throw for what is damaged or
/// missing below the directory. What says nothing about the step is thrown instead: Error(version) for a format that is
/// not known here, Error(io) for files that are there and cannot be read.
std::vector<std::string> verify(runtime::Files& files, const std::string& step_directory);

}  // namespace trireme::checkpoint
