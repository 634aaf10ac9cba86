// Which start of a run may save. A run is started again after a failure, and the start before may not be dead yet: its
// machine was cut off, or its lock is not seen from here. So each start claims the next attempt number with a file that
// only one process can create, RUN.attempt-000000007. Whoever finds a higher number knows that it was replaced: it
// saves, deletes and logs no more. No clock and no lock decides anything here.
//
// Why a replaced attempt changes nothing, wherever it was paused: the committed steps change by renames alone, and each
// of them (commit, deletion, setting aside) goes out of or into a directory that carries its attempt's number,
// NAME.tmp-7. An attempt makes that directory, then looks for higher claims (check_attempt), then renames. A higher
// attempt claims, then takes away all directories of lower ones (sweep), then looks for the newest step. So either the
// lower one's look comes after the claim, and it stops; or its directory was there before the sweep, and a rename that
// comes after the sweep fails for want of it; or the rename came before the sweep, and the higher one finds its result.
//
// What is not fenced: a pin (retention.h), which belongs to no attempt. And a run whose checkpoints/ was moved away and
// made anew begins at 1 again: a start finds its claim gone, or with another's text, at its next look; one that is
// between look and rename then may still commit there.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/files.h"

namespace trireme::checkpoint {

/// First rank of a run only; makes checkpoints/ when it is missing. Claims the number after all that were claimed or
/// have saved a step, durably, then removes what lower attempts left unfinished, and their claims. `owner_text` (one
/// line: process, host, job) is for the message to whoever is replaced. Returns the number, 1 or more.
int64_t claim_attempt(runtime::Files& files, const std::string& checkpoints_directory, const std::string& owner_text);

/// Throws Error(peer) naming the newer attempt and its owner when there is one; and when its own claim is gone, for
/// then somebody moved checkpoints/ away, and what is there belongs to others; and when its claim holds another text
/// than `owner_text`, unless that is empty. One listing of a directory, and the claim read.
void check_attempt(runtime::Files& files, const std::string& checkpoints_directory, int64_t attempt,
                   const std::string& owner_text = "");

/// PATH.tmp-7: of an attempt, through which a step, or a file of the run, comes to PATH or leaves it.
std::string path_of_attempt(const std::string& path, int64_t attempt);

/// Removes what attempts up to `attempt` left unfinished (step-*.tmp-N, trash-*.tmp-N), and trash; sets a step
/// aside to the end that they were setting aside (aside-*.tmp-N). What belongs to higher attempts is left alone.
void sweep(runtime::Files& files, const std::string& checkpoints_directory, int64_t attempt);

}  // namespace trireme::checkpoint
