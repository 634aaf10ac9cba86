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

/// The step of "step-000001200"; nothing for any other name, unfinished saves ("step-000001200.tmp-...") included.
std::optional<int64_t> step_of_name(std::string_view directory_name);

/// DIRECTORY/step-000001200
std::string step_directory(const std::string& checkpoints_directory, int64_t step);

/// Ascending; empty when the directory does not exist.
std::vector<int64_t> committed_steps(runtime::Files& files, const std::string& checkpoints_directory);

/// Removes unfinished saves ("step-*.tmp-*"), of any attempt, and what was being deleted ("trash-*"). It may remove
/// all: the caller holds the run's lock (save.h), which dies with its owner, so nobody is writing any of them.
void sweep(runtime::Files& files, const std::string& checkpoints_directory);

/// Renames a step to aside-step-...: it is no longer loaded, nor deleted. Nothing happens when there is no such step.
void set_aside_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step);

/// Makes a step vanish at once (a rename), then frees its space. Nothing happens when there is no such step.
void discard_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step);

}  // namespace trireme::checkpoint
