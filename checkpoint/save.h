// Saves a step: every rank writes its slices, then one rename makes the step exist. At every instant before that rename
// the older checkpoints are all there is; after it the new one is whole, and durable when save() returns.
#pragma once

#include "checkpoint/save_request.h"
#include "runtime/communicator.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

/// Collective and synchronous. When any rank fails, all throw an Error with the kind and the reason of the one that
/// failed (io: the disk; internal: slices that do not fit or do not cover the tensors; device: no memory), the
/// unfinished directory is gone and older checkpoints are as they were. A step that is already saved and good is such
/// a failure, of kind io; so is one that is saved in a format that is not known here, of kind version; one that is
/// damaged is set aside (aside-step-...). An attempt that was replaced by a newer one (attempt.h) fails with kind peer,
/// naming the newer one and its owner. One failure comes after the commit: when checkpoints/ cannot be synced after
/// the rename, all throw "... is committed, but may not survive a power loss"; the step is there and can be loaded.
void save(runtime::Files& files, runtime::Communicator& communicator, const SaveRequest& request);

}  // namespace trireme::checkpoint
