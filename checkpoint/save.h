// Saves a step: every rank writes its slices, then one rename makes the step exist. At every instant before that rename
// the older checkpoints are all there is; after it the new one is whole, and durable when save() returns.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/tensor_slice.h"
#include "runtime/communicator.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

/// Equal on all ranks, but for the slices.
struct SaveRequest {
  std::string checkpoints_directory;
  int64_t step = 0;
  std::string run_id;
  int64_t attempt = 0;
  Writer writer = {};               ///< version and commit of the program; for people, never compared
  boost::json::object layout;       ///< where and how the step was made: mesh, options, paths; never compared
  boost::json::object state;        ///< what training goes on from; `checkpoint diff` compares all of it
  std::vector<TensorSlice> slices;  ///< those that this rank writes; together the ranks cover each tensor once
};

/// Collective and synchronous. When any rank fails, all throw an Error with the kind and the reason of the one that
/// failed (io: the disk; internal: slices that do not fit or do not cover the tensors; device: no memory), the
/// unfinished directory is gone and older checkpoints are as they were. A step that is already saved and good is such
/// a failure, of kind io; so is one that is saved in a format that is not known here, of kind version; one that is
/// damaged is set aside (aside-step-...). One failure comes after the commit: when checkpoints/ cannot be synced after
/// the rename, all throw "... is committed, but may not survive a power loss"; the step is there and can be loaded.
///
/// The caller promises that no other process saves into, sweeps or prunes the same directory: `launch` holds the lock
/// RUN.lock for the whole run. So what is unfinished there was left by a writer that is dead, of whatever attempt, and
/// is swept.
void save(runtime::Files& files, runtime::Communicator& communicator, const SaveRequest& request);

}  // namespace trireme::checkpoint
