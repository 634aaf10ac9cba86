// Which committed steps stay. One rank calls these, after a newer step was committed.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// Keeps the newest k steps and deletes the others; k = 0 keeps all. A deletion begins with a rename, so that a crash
/// never leaves half a step behind a committed name. k is 0 or more.
void keep_last(runtime::Files& files, const std::string& checkpoints_directory, int64_t k);

/// Renames the committed steps after `step` to aside-step-...: a run that went on from `step` though newer ones exist
/// (damaged, or the user chose an older one) will make them anew. The newest goes first, so that a crash leaves no gap.
/// Nothing is deleted.
void set_aside_newer(runtime::Files& files, const std::string& checkpoints_directory, int64_t step);

}  // namespace trireme::checkpoint
