// Files of a run directory that one attempt puts in place of another's, fenced as steps are (checkpoint/attempt.h): an
// attempt that was replaced changes none of them, wherever it was paused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/files.h"

namespace trireme::launch {

/// Puts `text` at RUN/FILE by a rename, in the name of an attempt as a step is committed: PATH.tmp-7 is there, then one
/// looks for newer claims, then it is renamed. A newer attempt claims, then sweeps PATH.tmp-7, then reads. Ranks that
/// may write one file at the same time name themselves by `writer`: PATH.tmp-7-WRITER. Throws Error(peer) when the
/// attempt was replaced, Error(io). Attempt 0: nothing is fenced.
void replace_file(runtime::Files& files, const std::string& path, std::string_view text, int64_t attempt,
                  const std::string& writer = "");

/// The attempt of a name like "config.json.tmp-7", of a file that replace_file would put in place.
std::optional<int64_t> attempt_writing(std::string_view name);

}  // namespace trireme::launch
