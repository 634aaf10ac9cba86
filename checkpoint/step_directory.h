// The names inside a run's checkpoints directory. Only a rename creates a committed name, so a name is enough to know
// that a step was committed; whether it is still good is for load and verify to say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// "step-000001200"
std::string step_name(int64_t step);

/// The step of "step-000001200"; nothing for any other name, unfinished saves ("step-000001200.tmp-...") included.
std::optional<int64_t> step_of_name(std::string_view directory_name);

/// DIRECTORY/step-000001200
std::string step_directory(const std::string& checkpoints_directory, int64_t step);

/// Ascending; empty when the directory does not exist.
std::vector<int64_t> committed_steps(runtime::Files& files, const std::string& checkpoints_directory);

/// PATH, or PATH-2, PATH-3, ...: the first that is not there.
std::string free_path(runtime::Files& files, const std::string& path);

}  // namespace trireme::checkpoint
