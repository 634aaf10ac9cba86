// Which committed steps stay. One rank calls these. Those that change the committed steps do it in the name of an
// attempt, so that a replaced one, wherever it was paused, throws instead (attempt.h).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// A step stays when any of these keeps it; pinned steps (below) always stay.
struct Retention {
  int64_t keep_last = 0;   ///< the newest so many; 0: all
  int64_t keep_every = 0;  ///< steps divisible by it; 0: none for that reason
};

/// After a newer step was committed. Deletes the steps that nothing keeps, oldest first; the two newest good ones
/// always stay, and while there are not two nothing is deleted. `good` holds the steps that are known to be (saved and
/// read back by this process); others are verified here, to the last byte, and added to it. A deletion begins with a
/// rename, so that a crash never leaves half a step behind a committed name.
void retain(runtime::Files& files, const std::string& checkpoints_directory, int64_t attempt,
            const Retention& retention, std::set<int64_t>& good);

/// A pinned step is not deleted: checkpoints/step-000001200.pinned, an empty file that people may make themselves.
/// Unlike the others these two belong to no attempt. Pinning twice, or unpinning what is not pinned, is fine.
void pin_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step);
void unpin_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step);
/// Ascending.
std::vector<int64_t> pinned_steps(runtime::Files& files, const std::string& checkpoints_directory);

/// Makes a step vanish at once (a rename), then frees its space.
void discard_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step, int64_t attempt);

/// Renames a step to aside-step-...: it is no longer loaded, nor deleted.
void set_aside_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step, int64_t attempt);

/// Sets the committed steps after `step` aside: a run that went on from `step` though newer ones exist (damaged, or the
/// user chose an older one) will make them anew. The newest goes first, so that a crash leaves no gap.
void set_aside_newer(runtime::Files& files, const std::string& checkpoints_directory, int64_t step, int64_t attempt);

}  // namespace trireme::checkpoint
